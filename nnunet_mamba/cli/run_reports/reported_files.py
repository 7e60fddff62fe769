"""What each command reads and writes, for ``--run-report``: functions of its options by their names."""

from collections.abc import Iterator
from pathlib import Path

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.model_options import parse_folds
from nnunet_mamba.cli.run_reports.run_report_option import Given
from nnunet_mamba.results.layout import fold_name
from nnunet_mamba.system.nnunet_folders import nnunet_folder


def made_dataset(given: Given) -> list[Path]:
    """Return the folder that a conversion writes."""
    from nnunet_mamba.data.writing.dataset_folder import raw_dataset_folder

    if (images := given.get("images_only")) is not None:
        return [images]
    return [raw_dataset_folder(given["dataset_id"], given["name"], output=given["output"])]


def scores(given: Given) -> list[Path]:
    """Return the files of scores that ``evaluate`` writes."""
    from nnunet_mamba.evaluation.output_files import CASES
    from nnunet_mamba.results.layout import SUMMARY

    folder: Path = given["output"] or given["predictions"]
    return [folder / SUMMARY, folder / CASES]


def masks(given: Given) -> list[Path]:
    """Return the folder that ``predict`` writes."""
    return [given["output"]]


def images_and_model(given: Given) -> Iterator[Path]:
    """Yield the images that ``predict`` reads, patterns apart, and the model."""
    yield from (path for path in given["images"] if path.exists())
    if given["model"] is not None:
        from nnunet_mamba.models.opening import model_path

        yield model_path(given["model"])
    elif given["dataset"] is not None:
        from nnunet_mamba.results.model_choice import find_results

        names = {name: given[name] for name in ("trainer", "plans", "configuration")}
        results = nnunet_folder("nnUNet_results")
        yield find_results(results, given["dataset"], **names, checkpoint_name=given["checkpoint_name"]).folder


def masks_and_mean_scores(given: Given) -> list[Path]:
    """Return the folder of all models' masks, and the files of scores, that ``external-test`` writes."""
    from nnunet_mamba.external_tests.files import RESULT, TABLE

    return [given["output"], given["output"] / RESULT, given["output"] / TABLE]


def images_models_and_references(given: Given) -> Iterator[Path]:
    """Yield the images that ``external-test`` reads, patterns apart, the models and the references."""
    yield from (path for path in given["images"] if path.exists())
    yield given["reference"]
    from nnunet_mamba.models.opening import model_path

    yield from map(model_path, given["model"] or ())
    if given["dataset"] is not None:
        from nnunet_mamba.cli.external_test import chosen_trainings

        yield from (training.folder / fold_name(fold) for training, folds in chosen_trainings(given) for fold in folds)


def page_and_files(given: Given) -> list[Path]:
    """Return the page that ``report`` writes, and the folder beside it."""
    from nnunet_mamba.report.writing import files_folder

    page: Path = given["output"]
    return [page] if given["page_only"] else [page, files_folder(page)]


def validations_and_references(given: Given) -> Iterator[Path]:
    """Yield what decides the figures of ``report``; the images of the few cases that it draws are not among it."""
    from nnunet_mamba.comparison.finished_trainings import reference_folder
    from nnunet_mamba.report.contents.gathering import ReportRequest, shown_trainings
    from nnunet_mamba.results.checkpoints import FINAL
    from nnunet_mamba.results.layout import validation_folder
    from nnunet_mamba.results.training_logs import training_logs

    trainings, folds = shown_trainings(
        ReportRequest(
            dataset=given["dataset"],
            trainers=parse_names(given["trainers"], option="--trainers") if given["trainers"] else None,
            configuration=given["configuration"],
            folds=parse_folds(given["folds"]),
        )
    )
    for training in trainings:
        yield training.dataset_json_file
        yield training.plans_file
        # Its network is built and timed with these weights.
        if given["costs"]:
            yield training.fold(folds[0]) / FINAL
        for fold in folds:
            yield validation_folder(training.fold(fold))
            yield from training_logs(training.fold(fold))
    if given["distances"]:
        yield reference_folder(trainings[0].dataset)
    if given["groups"] is not None:
        yield given["groups"]


def reproduced_table(given: Given) -> list[Path]:
    """Return the folder that ``reproduce`` writes, and nnU-Net's data sets and results of the table's trainings."""
    from nnunet_mamba.reproduction.request import find_experiment

    if given["table"] is None:
        return []
    experiment = find_experiment(given["table"])
    folders = [
        nnunet_folder(variable) / data.folder_name
        for data in experiment.all_data
        for variable in ("nnUNet_raw", "nnUNet_results")
    ]
    return [given["output"] or Path(experiment.name), *folders]


def reproduced_data(given: Given) -> list[Path]:
    """Return the data sets that ``reproduce`` is given."""
    from nnunet_mamba.reproduction.request import find_experiment, places_of

    if given["table"] is None:
        return []
    return list(places_of(given["data"] or [], find_experiment(given["table"])).values())


def base_plans(given: Given) -> list[Path]:
    """Return what ``plan`` begins with."""
    folder = _of_dataset("nnUNet_preprocessed", given)
    return [folder / "dataset.json", folder / "dataset_fingerprint.json", folder / f"{given['base']}.json"]


def all_plans(given: Given) -> list[Path]:
    """Return the plans of a data set, of which ``plan`` writes some."""
    return sorted(_of_dataset("nnUNet_preprocessed", given).glob("*Plans.json"))


def splits_and_plans(given: Given) -> list[Path]:
    """Return what decides the trainings of ``crossval``, apart from the images."""
    folder = _of_dataset("nnUNet_preprocessed", given)
    return [folder / "dataset.json", folder / "splits_final.json", *all_plans(given)]


def trained_folds(given: Given) -> Iterator[Path]:
    """Yield checkpoints and scores of the folds that ``crossval`` trains."""
    results = _of_dataset("nnUNet_results", given)
    for trainer in parse_names(given["trainers"], option="--trainers"):
        for pattern in ("fold_*/checkpoint_final.pth", "fold_*/validation/summary.json"):
            yield from sorted(results.glob(f"{trainer}__*__{given['configuration']}/{pattern}"))


def _of_dataset(variable: str, given: Given) -> Path:
    """Return the data set's folder in one of nnU-Net's."""
    from nnunet_mamba.crossval.selection import find_dataset

    return nnunet_folder(variable) / find_dataset(given["dataset"], nnunet_folder("nnUNet_preprocessed"))
