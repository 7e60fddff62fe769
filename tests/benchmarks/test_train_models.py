"""benchmarks/train_models.py: what it trains, in which order, what it puts into the package; a whole run is slow."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.demo.lesions import write_isic_folder
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.shipped_models import shipped_folder
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def test_the_trainers_of_all_models_exist_and_have_a_budget_in_their_name():
    from model_trainings.models import MODELS

    for model in MODELS:
        name = TrainerName.parse(model.trainer_name(100, 250))
        assert (name.is_ours, name.unknown, name.epochs, name.iterations) == (True, "", 100, None)
        assert TrainerName.parse(model.trainer_name(2, 3)).iterations == 3


def test_a_model_is_trained_after_its_teacher_which_is_trained_too(tmp_path):
    from train_models import in_order

    assert [model.name for model in in_order(["ultralbm-t-isic"], tmp_path)] == ["ultralbm-isic", "ultralbm-t-isic"]
    assert [model.name for model in in_order(["ultralight-isic"], tmp_path)] == ["ultralight-isic"]


def test_a_teacher_that_is_there_teaches_unless_it_is_asked_for():
    from model_trainings.models import MODELS
    from train_models import in_order, taught_by

    shipped = shipped_folder()
    pupil = next(model for model in MODELS if model.name == "ultralbm-t-isic")
    assert in_order(["ultralbm-t-isic"], shipped) == [pupil]
    assert taught_by(pupil, {}, shipped) == {TEACHER_VARIABLE: str(shipped / "ultralbm-isic")}
    assert [model.name for model in in_order(["ultralbm-t-isic", "ultralbm-isic"], shipped)] == [
        "ultralbm-isic",
        "ultralbm-t-isic",
    ]
    trained = SimpleNamespace(model_folder=Path("trainings/ultralbm"))
    assert taught_by(pupil, {"ultralbm-isic": trained}, shipped) == {TEACHER_VARIABLE: "trainings/ultralbm"}


def test_the_card_of_a_pupil_names_its_teacher():
    from model_trainings.models import MODELS
    from train_models import teacher_words

    shipped = shipped_folder()
    words = {model.name: teacher_words(model, shipped) for model in MODELS}
    assert (
        words.pop("ultralbm-t-isic").split()
        == (
            "It was distilled from ultralbm-isic, whose weights have the SHA-256 "
            f"{json.loads((shipped / 'ultralbm-isic/model.json').read_text())['hashes']['weights.safetensors']}."
        ).split()
    )
    assert set(words.values()) == {""}


def test_the_short_name_is_the_models_with_the_best_validation_score(tmp_path):
    from model_trainings.packing import give_alias

    def score(data, protocol, value):
        return {"data": data, "protocol": protocol, "metric": "Dice", "value": value}

    for name, validation, test in (("a", 0.85, 0.99), ("b", 0.86, 0.7)):
        (tmp_path / name).mkdir()
        scores = [score("V, squares", "mean over cases", validation), score("PH2", "mean over cases", test)]
        scores.append(score("V, squares", "pooled pixels", 1 - validation))
        (tmp_path / name / "model.json").write_text(json.dumps({"scores": scores}))
    assert give_alias(tmp_path, "isic", data="V", protocol="mean over cases") == "b"
    assert json.loads((tmp_path / "aliases.json").read_text()) == {"isic": "b"}


def test_test_photographs_are_cut_to_their_centred_square(tmp_path):
    from model_trainings.test_sets import _cut

    dataset = tmp_path / "Dataset001_A"
    for folder in ("imagesTr", "labelsTr"):
        (dataset / folder).mkdir(parents=True)
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 10:50] = 200
    Image.fromarray(picture).save(dataset / "imagesTr/x_0000.png")
    Image.fromarray((picture[..., 0] > 0).astype(np.uint8)).save(dataset / "labelsTr/x.png")
    (tmp_path / "squares").mkdir()
    _cut(dataset, tmp_path / "squares")
    for kind, expected in (("images", picture[:, 10:50]), ("masks", np.full((40, 40), 255))):
        with Image.open(tmp_path / "squares" / kind / "x.png") as written:
            np.testing.assert_array_equal(np.asarray(written), expected)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes are watched in /proc")
def test_a_whole_run_makes_a_model_that_opens_and_a_second_one_trains_nothing(tmp_path):
    parts = {"Training": 6, "Validation": 2}
    for part, n_cases in parts.items():
        drawn = tmp_path / part
        write_isic_folder(drawn, n_cases=n_cases, seed=len(part), first=100 * len(part), progress=False)
        for kind, name in (("images", f"ISIC-2017_{part}_Data"), ("masks", f"ISIC-2017_{part}_Part1_GroundTruth")):
            (tmp_path / "ISIC2017").mkdir(exist_ok=True)
            (drawn / kind).rename(tmp_path / "ISIC2017" / name)
    write_isic_folder(tmp_path / "unseen", n_cases=2, seed=9, progress=False)
    command = [sys.executable, str(BENCHMARKS / "train_models.py"), str(tmp_path / "ISIC2017")]
    command += ["--folder", str(tmp_path / "trainings"), "--output", str(tmp_path / "shipped"), "--epochs", "1"]
    command += ["--iterations", "2", "--test", "Drawn", "isic", str(tmp_path / "unseen"), "--models", "ultralight-isic"]
    (tmp_path / "shipped").mkdir()

    def run():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return [line for line in done.stdout.splitlines() if not line.startswith("commit,")]

    printed = run()
    checkpoints = sorted((tmp_path / "trainings/nnUNet_results").rglob("checkpoint_final.pth"))
    times = [file.stat().st_mtime_ns for file in checkpoints]
    assert len(checkpoints) == 1
    model = open_model(tmp_path / "shipped/ultralight-isic")
    described = model.description
    assert (described.name, described.data.splits, described.training.seed) == ("ultralight-isic", "challenge", 1)
    assert (described.conversion.size, described.labels.has_regions) == ((256, 256), True)
    assert {score.data for score in described.scores} == {
        "ISIC 2017, validation part, centred squares",
        "Drawn, whole photographs",
        "Drawn, centred squares",
    }
    assert {score.n for score in described.scores} == {2}
    assert "The 16 converted files have the SHA-256" in model.card()
    model.build_network(0)
    assert printed[-1] == "isic,ultralight-isic"
    assert json.loads((tmp_path / "shipped/aliases.json").read_text()) == {"isic": "ultralight-isic"}
    assert run() == printed
    assert [file.stat().st_mtime_ns for file in checkpoints] == times
