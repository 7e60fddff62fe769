"""Which recipe a variant of benchmarks/recipe_ablation.py stands for, and its table; a whole run is slow."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nnunet_mamba.training.augmentation.choices import FLIPS_AND_ROTATIONS, PHOTOGRAPHS, STICKERS
from nnunet_mamba.training.generated_trainers import load_trainer
from nnunet_mamba.training.recipes import ULTRALIGHT_VM_UNET, robust

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BASE = "nnUNetTrainerUltraLightVM"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def recipe_of(text):
    from recipe_ablations.variants import Variant, ablation_trainer

    name = Variant.parse(text).trainer_name(BASE, epochs=30, iterations=250)
    trainer = ablation_trainer(name)
    assert (trainer.__name__, trainer.epochs_of_name, trainer.iterations_of_name) == (name, 30, 250)
    assert issubclass(trainer, load_trainer(BASE))
    return trainer.recipe


def parts_of(augmentation):
    return {part: getattr(augmentation, part) for part in ("framing", "colour", "light", "optics", "holes")}


def test_no_part_is_the_trainers_own_recipe_and_all_are_the_robust_one():
    own, whole = recipe_of("own"), recipe_of("robust")
    assert own == ULTRALIGHT_VM_UNET
    assert (whole.ema_decay, whole.augmentation.intensities) == (robust(own).ema_decay, True)
    assert parts_of(whole.augmentation) == parts_of(PHOTOGRAPHS)


@pytest.mark.parametrize("part", ["framing", "colour", "light", "optics", "holes"])
def test_a_part_alone_is_added_or_missing(part):
    alone, without = recipe_of(f"own+{part}"), recipe_of(f"robust-{part}")
    assert parts_of(alone.augmentation) == parts_of(FLIPS_AND_ROTATIONS) | {part: getattr(PHOTOGRAPHS, part)}
    assert not alone.augmentation.intensities
    assert alone.ema_decay is None
    assert parts_of(without.augmentation) == parts_of(PHOTOGRAPHS) | {part: None}
    assert without.ema_decay is not None


def test_new_parts_are_added_to_any_recipe_and_of_none_yet():
    assert recipe_of("robust").augmentation.stickers is None
    new = recipe_of("robust+stickers+wide+whole").augmentation
    assert new.stickers == STICKERS
    assert new.framing == replace(PHOTOGRAPHS.framing, zoom=(0.6, 2.5), centres_labels=False)
    assert replace(new, stickers=None, framing=PHOTOGRAPHS.framing, name=PHOTOGRAPHS.name) == PHOTOGRAPHS
    assert recipe_of("own+whole").augmentation.framing == replace(FLIPS_AND_ROTATIONS.framing, centres_labels=False)
    assert recipe_of("own+nnunet+wide").augmentation.framing == replace(PHOTOGRAPHS.framing, zoom=(0.6, 2.5))


def test_nnunets_part_brings_its_own_rotations_and_zooms():
    augmentation = recipe_of("own+nnunet").augmentation
    assert augmentation.intensities
    assert set(parts_of(augmentation).values()) == {None}
    assert recipe_of("own+nnunet+framing").augmentation.framing == PHOTOGRAPHS.framing


def test_averaged_weights_are_a_part_of_their_own():
    assert recipe_of("own+ema").augmentation == FLIPS_AND_ROTATIONS
    assert recipe_of("own+ema").ema_decay == robust(ULTRALIGHT_VM_UNET).ema_decay
    assert recipe_of("robust-ema").ema_decay is None


@pytest.mark.parametrize("text", ["paper", "own+color", "own+", "", "own-", "robust + ema", "own+ema,colour"])
def test_refuses_what_is_no_variant_and_names_the_parts(text):
    from recipe_ablations.variants import Variant

    with pytest.raises(ValueError, match=r"expected 'own' or 'robust'.*nnunet, framing, colour.*ema"):
        Variant.parse(text)


@pytest.mark.parametrize(
    "name", [BASE, f"{BASE}Ablation", f"{BASE}_2epochs_3iterations", "nnUNetTrainerAblation_2epochs"]
)
def test_nnunet_searches_on_for_other_names(name):
    from recipe_ablations.variants import ablation_trainer

    with pytest.raises(AttributeError, match=name):
        ablation_trainer(name)


def test_the_table_has_means_and_spreads_over_the_seeds():
    from recipe_ablations.score_table import table_lines

    def scores(value):
        dice = {"per_case": value, "pooled": value + 0.02}
        return {"mirrored": dice, "unmirrored": {name: one - 0.01 for name, one in dice.items()}}

    lines = list(table_lines({"own": [scores(0.8), scores(0.82)], "robust": [scores(0.9)], "own+ema": []}))
    assert lines[1].startswith("variant,seeds,mirrored_per_case,sd,mirrored_pooled,sd,unmirrored_per_case,sd,")
    assert lines[2:] == ["own,2,81.00,1.41,83.00,1.41,80.00,1.41,82.00,1.41", "robust,1,90.00,,92.00,,89.00,,91.00,"]


def test_splits_are_placed_before_the_first_run_alone(tmp_path):
    from recipe_ablation import place_splits

    source, other = tmp_path / "a.json", tmp_path / "b.json"
    source.write_text(json.dumps([{"train": ["x"], "val": ["y"]}]))
    other.write_text(json.dumps([{"train": ["y"], "val": ["x"]}]))
    for file in (other, source):
        place_splits(file, tmp_path, "Dataset001_A")
    placed = tmp_path / "nnUNet_preprocessed/Dataset001_A/splits_final.json"
    assert placed.read_text() == source.read_text()
    (tmp_path / "seed_1").mkdir()
    place_splits(source, tmp_path, "Dataset001_A")
    with pytest.raises(ValueError, match=r"trained with other splits than .*b\.json: take another --folder"):
        place_splits(other, tmp_path, "Dataset001_A")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes are watched in /proc")
def test_a_whole_ablation_and_its_continuation(planned, tmp_path):
    raw = planned.root / "nnUNet_raw" / planned.dataset
    command = [sys.executable, str(BENCHMARKS / "recipe_ablation.py"), "--dataset", str(raw), "--folder"]
    command += [str(tmp_path / "ablation"), "--variants", "own", "robust-light", "--seeds", "1", "--epochs", "1"]
    command += ["--iterations", "2", "--batch-size", "2"]

    def run():
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
        assert done.returncode == 0, done.stdout + done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith(("own,", "robust-light,"))]

    first = run()
    assert [line.split(",")[:2] for line in first] == [["own", "1"], ["robust-light", "1"]]
    scores = sorted((tmp_path / "ablation").rglob("ablation_scores.json"))
    times = [path.stat().st_mtime_ns for path in scores]
    assert len(scores) == 2
    assert run() == first
    assert [path.stat().st_mtime_ns for path in scores] == times
