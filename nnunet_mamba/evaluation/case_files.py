"""Which file of one folder is scored against which file of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.formats.label_map_files import label_map_files, other_forms
from nnunet_mamba.system.counts import how_many

# Beside label maps that nnU-Net has predicted, and nowhere else.
_SIGN_OF_PREDICTIONS = "predict_from_raw_data_args.json"


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The two files of a case.

    Args:
        identifier: of the case.
        prediction: its file.
        reference: its file.
    """

    identifier: str
    prediction: Path
    reference: Path


def paired_label_maps(
    predictions: Path, labels: Path, file_ending: str, *, allow_missing: bool = False
) -> list[CaseFiles]:
    """Return the label maps of the same name in both folders, sorted.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of reference label maps.
        file_ending: of both, with its dot.
        allow_missing: whether labels may have no prediction.

    Raises:
        FileNotFoundError: a label or, without ``allow_missing``, a prediction is missing; lists all.
        ValueError: there are hidden files among the predictions, or the folders are swapped.
    """
    # nnU-Net would score them too.
    if hidden := sorted(file.name for file in predictions.glob(f".*{file_ending}")):
        raise ValueError(
            f"{predictions} holds hidden files, {', '.join(hidden[:5])}{', …' if len(hidden) > 5 else ''}, as macOS "
            "writes beside others; delete them, they are no label maps"
        )
    if (labels / _SIGN_OF_PREDICTIONS).is_file() and not (predictions / _SIGN_OF_PREDICTIONS).is_file():
        refuse_swapped(predictions, labels, f"{labels} holds {_SIGN_OF_PREDICTIONS}, as nnU-Net's predictions do")
    predicted = label_map_files(predictions, file_ending, holds="predictions")
    reference = label_map_files(labels, file_ending, holds="labels")
    unpredicted = {identifier: path.name for identifier, path in reference.items() if identifier not in predicted}
    there = other_forms(predictions, sorted(unpredicted), file_ending)
    unlabelled = {identifier: path.name for identifier, path in predicted.items() if identifier not in reference}
    refuse_missing(
        predictions,
        labels,
        # Never leave out silently a prediction that is there under another name.
        unpredicted={key: name for key, name in unpredicted.items() if not allow_missing or key in there},
        unlabelled=unlabelled,
        found_predictions=there,
        found_labels=other_forms(labels, sorted(unlabelled), file_ending) if unlabelled else {},
        can_allow=bool(unpredicted) and not allow_missing,
    )
    return [
        CaseFiles(identifier=identifier, prediction=predicted[identifier], reference=reference[identifier])
        for identifier in sorted(predicted)
    ]


def refuse_swapped(predictions: Path, labels: Path, sign: str) -> None:
    """Raise because the folder of predictions was named as that of labels.

    Args:
        predictions: what was named first.
        labels: what was named second.
        sign: how that shows.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"The folders look swapped: {sign}. Name {labels} as the folder of predictions, and {predictions} as that of "
        "labels"
    )


def refuse_missing(
    predictions: Path,
    labels: Path,
    *,
    unpredicted: Mapping[str, str],
    unlabelled: Mapping[str, str],
    found_predictions: Mapping[str, str],
    found_labels: Mapping[str, str],
    can_allow: bool,
) -> None:
    """Raise if files are missing.

    Args:
        predictions: the folder.
        labels: the folder.
        unpredicted: names of files by identifier, for labels without prediction.
        unlabelled: the same for predictions without label.
        found_predictions: file that may be meant for an identifier among the predictions.
        found_labels: the same among the labels.
        can_allow: whether `allow_missing=True` would help.

    Raises:
        FileNotFoundError: lists all that are missing.
    """
    problems = []
    for text, names, found in (
        (_without(unpredicted, "label", labels, "prediction", predictions), unpredicted, found_predictions),
        (_without(unlabelled, "prediction", predictions, "label", labels), unlabelled, found_labels),
    ):
        if names:
            lines = [
                name + (f" (there is {found[identifier]})" if identifier in found else "")
                for identifier, name in sorted(names.items())
            ]
            way_out = "\nRename or convert the files that are there." if found else ""
            problems.append(f"{text}:\n  " + "\n  ".join(lines) + way_out)
    if problems:
        advice = ["Score what is predicted with `allow_missing=True`."] if can_allow else []
        raise FileNotFoundError("\n".join([*problems, *advice]))


def _without(names: Mapping[str, str], kind: str, folder: Path, lacking: str, other: Path) -> str:
    return f"{how_many(len(names), kind)} in {folder} {'has' if len(names) == 1 else 'have'} no {lacking} in {other}"
