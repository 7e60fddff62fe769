"""Fixtures: models with made-up counts, and nnU-Net's results with made-up summaries: nothing is trained."""

import json

import pytest

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.results.confusion import Confusion, ScoredCase

SIZE, LESION = 100, 20
LABELS = {"background": 0, "lesion": 1}


def confusion(found, *, wrong=0, lesion=LESION, size=SIZE):
    """``found`` of ``lesion`` pixels are found, and ``wrong`` others."""
    return Confusion(tp=found, fp=wrong, fn=lesion - found, tn=size - lesion - wrong)


@pytest.fixture
def make_model(tmp_path):
    """Build a model from the number of pixels that it finds in each case."""

    def make(name, found, **options):
        cases = [
            ScoredCase(
                identifier=identifier,
                confusions={"lesion": pixels if isinstance(pixels, Confusion) else confusion(pixels)},
            )
            for identifier, pixels in found.items()
        ]
        return ScoredModel(name=name, place=tmp_path / name, cases=cases, labels=LABELS, **options)

    return make


@pytest.fixture
def write_training(tmp_path, monkeypatch):
    """Write the folds of a training into $nnUNet_results, each with its checkpoint and its validation's summary."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))

    def write(trainer, folds, *, dataset="Dataset001_Toy", plans="nnUNetPlans", configuration="2d", labels=LABELS):
        training = tmp_path / "nnUNet_results" / dataset / f"{trainer}__{plans}__{configuration}"
        for fold, found in folds.items():
            validation = training / f"fold_{fold}" / "validation"
            validation.mkdir(parents=True)
            (validation.parent / "checkpoint_final.pth").touch()
            entries = [summary_entry(name, pixels) for name, pixels in found.items()]
            content = {"metric_per_case": entries, "mean": {}, "foreground_mean": {"Dice": 0.5}}
            (validation / "summary.json").write_text(json.dumps(content))
        training.mkdir(parents=True, exist_ok=True)
        content = {"labels": labels, "file_ending": ".png", "channel_names": {"0": "R"}}
        (training / "dataset.json").write_text(json.dumps(content))
        return training

    return write


def summary_entry(name, pixels):
    counts = pixels if isinstance(pixels, Confusion) else confusion(pixels)
    metrics = {short.upper(): getattr(counts, short) for short in ("tp", "fp", "fn", "tn")}
    return {"prediction_file": f"/x/{name}.png", "reference_file": f"/y/{name}.png", "metrics": {"1": metrics}}
