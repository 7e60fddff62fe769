"""Scores of a trained model for its card: on its validation part, and on photographs that it has not seen."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from stock_runs.scores import scores_of
from stock_runs.seeded_training import SeededTraining

from nnunet_mamba.evaluation.protocols import LabelScores
from nnunet_mamba.models.description import Score
from nnunet_mamba.prediction.postprocessing import postprocess
from nnunet_mamba.results.layout import validation_folder

VALIDATION = "ISIC 2017, validation part, centred squares"
_CHOSEN_BY = "the recipe was chosen by these images"


def validation_scores(training: SeededTraining, steps: Sequence[str]) -> Iterator[Score]:
    """Yield the scores of the fold's validation cases, with mirroring and without, and with postprocessing.

    Args:
        training: finished.
        steps: of the postprocessing.

    Raises:
        RuntimeError: nnU-Net could not predict.
    """
    fold = training.fold_folder
    unmirrored = fold / "validation_without_mirroring"
    training.predict(training.validation_images(), unmirrored, mirrors=False)
    mirrored = validation_folder(fold)
    for predictions, is_mirrored, done in (
        (_postprocessed(mirrored, steps), True, steps),
        (mirrored, True, ()),
        (unmirrored, False, ()),
    ):
        rows = scores_of(predictions, training.labels_folder, Path(f"{predictions}_scores"))
        yield from _in_both_protocols(rows, VALIDATION, _note(_CHOSEN_BY, is_mirrored, done))


def test_scores(
    training: SeededTraining, name: str, datasets: Mapping[str, Path], steps: Sequence[str]
) -> Iterator[Score]:
    """Yield the scores of a test set, with mirroring, with postprocessing and without.

    Args:
        training: finished.
        name: of the test set.
        datasets: nnU-Net's data set for each way to cut its photographs.
        steps: of the postprocessing.

    Raises:
        RuntimeError: nnU-Net could not predict.
    """
    for what, dataset in datasets.items():
        output = training.fold_folder / f"{name}_{what}".replace(" ", "_")
        training.predict(dataset / "imagesTr", output, mirrors=True)
        for predictions, done in ((_postprocessed(output, steps), steps), (output, ())):
            rows = scores_of(predictions, dataset / "labelsTr", Path(f"{predictions}_scores"))
            yield from _in_both_protocols(rows, f"{name}, {what}", _note("not seen in training", True, done))


def _postprocessed(predictions: Path, steps: Sequence[str]) -> Path:
    """Return a folder with label maps after the postprocessing."""
    output = Path(f"{predictions}_postprocessed")
    output.mkdir(exist_ok=True)
    for file in predictions.glob("*.png"):
        label = np.asarray(Image.open(file))
        Image.fromarray(postprocess(label[None], steps)[0]).save(output / file.name)
    return output


def _note(about: str, is_mirrored: bool, steps: Sequence[str]) -> str:
    return "; ".join(
        (about, "mirrored" if is_mirrored else "not mirrored", *(step.replace("_", " ") for step in steps))
    )


def _in_both_protocols(rows: list[LabelScores], data: str, note: str) -> Iterator[Score]:
    (row,) = rows
    for metric, per_case, pooled in (
        ("Dice", row.mean_case_dice, row.pooled.dice),
        ("IoU", row.mean_case_iou, row.pooled.iou),
    ):
        for protocol, value in (("mean over cases", per_case), ("pooled pixels", pooled)):
            yield Score(data=data, protocol=protocol, metric=metric, value=round(value, 4), n=row.n_cases, note=note)
