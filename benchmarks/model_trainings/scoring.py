"""Scores of a trained model for its card: on its validation part, and on photographs that it has not seen."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from stock_runs.scores import scores_of
from stock_runs.seeded_training import SeededTraining

from nnunet_mamba.evaluation.protocols import LabelScores
from nnunet_mamba.models.description import Score
from nnunet_mamba.results.layout import validation_folder

VALIDATION = "ISIC 2017, validation part"
_CHOSEN_BY = "the recipe was chosen by these images"


def validation_scores(training: SeededTraining) -> Iterator[Score]:
    """Yield the scores of the fold's validation cases, with mirroring and without.

    Args:
        training: finished.

    Raises:
        RuntimeError: nnU-Net could not predict.
    """
    fold = training.fold_folder
    unmirrored = fold / "validation_without_mirroring"
    training.predict(training.validation_images(), unmirrored, mirrors=False)
    ways = ((True, validation_folder(fold)), (False, unmirrored))
    for mirrors, folder in ways:
        rows = scores_of(folder, training.labels_folder, fold / f"scores_{folder.name}")
        yield from _in_both_protocols(rows, f"{VALIDATION}, centred squares", mirrors, _CHOSEN_BY)


def test_scores(training: SeededTraining, name: str, datasets: Mapping[str, Path]) -> Iterator[Score]:
    """Yield the scores of a test set, with mirroring.

    Args:
        training: finished.
        name: of the test set.
        datasets: nnU-Net's data set for each way to cut its photographs.

    Raises:
        RuntimeError: nnU-Net could not predict.
    """
    for what, dataset in datasets.items():
        output = training.fold_folder / f"{name}_{what}".replace(" ", "_")
        training.predict(dataset / "imagesTr", output, mirrors=True)
        rows = scores_of(output, dataset / "labelsTr", Path(f"{output}_scores"))
        yield from _in_both_protocols(rows, f"{name}, {what}", True, "not seen in training")


def _in_both_protocols(rows: list[LabelScores], data: str, mirrors: bool, note: str) -> Iterator[Score]:
    (row,) = rows
    note = f"{note}; {'mirrored' if mirrors else 'not mirrored'}"
    for metric, per_case, pooled in (
        ("Dice", row.mean_case_dice, row.pooled.dice),
        ("IoU", row.mean_case_iou, row.pooled.iou),
    ):
        for protocol, value in (("mean over cases", per_case), ("pooled pixels", pooled)):
            yield Score(data=data, protocol=protocol, metric=metric, value=round(value, 4), n=row.n_cases, note=note)
