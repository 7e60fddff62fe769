"""Test several models on one other data set: predict with each, score each, and average over folds and seeds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.unlabelled.image_search import FoundImages, find_images
from nnunet_mamba.data.unlabelled.named_files import NamedPlace, unpacked_archives
from nnunet_mamba.evaluation.case_files import CaseFiles
from nnunet_mamba.evaluation.folders import Evaluation, evaluate_files, label_map_task, plain_mask_task
from nnunet_mamba.external_tests.mean_scores import DISTANCES, RATIOS, Figure, MeanScore, mean_scores
from nnunet_mamba.external_tests.models_under_test import ModelUnderTest
from nnunet_mamba.external_tests.predicted_values import TranslatingReader, values_in_references
from nnunet_mamba.external_tests.references import ReferencedMask, References, find_references, referenced_masks
from nnunet_mamba.external_tests.seen_images import refuse_seen_images, unchecked
from nnunet_mamba.prediction.run import UNWRITABLE, RunOptions, predict_found
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

if TYPE_CHECKING:
    from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class ExternalTestOptions:
    """What is wanted of an external test.

    Args:
        dataset_json: names labels and the file ending of the references; None takes the one beside their folder.
        distances: measure HD95 and NSD, too; None measures none.
        allow_same_names: images that are called as training cases are other images.
        processes: how many processes read and count; None takes one per core.
        progress: show it on standard error.
    """

    dataset_json: Path | None = None
    distances: "DistanceMeasure | None" = None
    allow_same_names: bool = False
    processes: int | None = None
    progress: bool = False


@dataclass(frozen=True, kw_only=True)
class ExternalTest:
    """What an external test found.

    Args:
        folder: of all masks and files.
        references: their folder.
        models: that were tested.
        evaluations: by the name of each model; empty where an image has no mask.
        failures: why images were not predicted, by the name of the model and the name of the image's file.
        notes: what else has to be known, in sentences.
    """

    folder: Path
    references: Path
    models: tuple[ModelUnderTest, ...]
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Evaluation:
        """The evaluation of the first model, which tells what all have in common."""
        return next(iter(self.evaluations.values()))

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Those that were measured."""
        distances = self.first.distances
        if distances is None:
            return RATIOS
        return (*RATIOS, *(DISTANCES if distances.tolerance is not None else DISTANCES[:1]))

    @property
    def means(self) -> list[MeanScore]:
        """The mean of each training's models, on each label."""
        scores = {name: done.scores for name, done in self.evaluations.items()}
        return mean_scores(scores, {one.name: one.group for one in self.models}, self.figures)


def run_external_test(
    images: Sequence[str | Path],
    references: Path,
    models: Sequence[ModelUnderTest],
    *,
    output: Path,
    predictor: "Callable[[Model], Predictor]",
    options: ExternalTestOptions | None = None,
) -> ExternalTest:
    """Test models on images that none of them has seen. A run after an interruption continues where it stopped.

    An image without a mask would make a score better or worse than it is. So if one cannot be predicted, the other
    images and models go on, and nothing is averaged.

    Args:
        images: files, folders with all that is below them, patterns, and zip archives.
        references: folder of reference label maps or masks, also in the folders below it.
        models: at least one.
        output: folder; each model's masks go into the folder of its name.
        predictor: makes a model's predictor; each is let go before the next one is made.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: images cannot be predicted as they are named; nothing has been written.
        FileNotFoundError: there is no reference, or an image has none, or one has no image; lists all.
        ValueError: the test is none: models have seen the images, or have other labels than the references. Or a file
            is damaged, or of another size than its image.
        FileExistsError: a folder holds masks of another model or of other options.
        OSError: writing failed; whole files stay, and a second run continues.
    """
    options = options or ExternalTestOptions()
    refuse_if_unwritable(output, way_out=UNWRITABLE)
    with unpacked_archives(images, output=output, progress=options.progress) as places:
        tasks = _tasks(places, references, models, output=output, options=options)
        notes = [note for task in tasks for note in task.found.notes]
        if not options.allow_same_names:
            for task in tasks:
                refuse_seen_images([task.model], [mask.identifier for mask in task.masks])
            notes += unchecked(models)
        evaluations: dict[str, Evaluation] = {}
        failures: dict[str, Mapping[str, str]] = {}
        for number, task in enumerate(tasks, start=1):
            name = task.model.name
            if failed := _predict(task, predictor, f"predicting, model {number} of {len(tasks)}", options):
                failures[name] = failed
            elif not failures:
                evaluations[name] = _score(task, options)
    return ExternalTest(
        folder=output,
        references=references,
        models=tuple(models),
        evaluations={} if failures else evaluations,
        failures=failures,
        notes=tuple(dict.fromkeys(notes)),
    )


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One model with what it is to predict.

    Args:
        model: that predicts.
        folder: of its masks.
        conversion: of its training data.
        found: the images.
        masks: with their references.
        references: all of them.
        values: of its masks, with their numbers in the references.
    """

    model: ModelUnderTest
    folder: Path
    conversion: ImageConversion
    found: FoundImages
    masks: Sequence[ReferencedMask]
    references: References
    values: Mapping[int, int]


def _tasks(
    places: Sequence[NamedPlace],
    references: Path,
    models: Sequence[ModelUnderTest],
    *,
    output: Path,
    options: ExternalTestOptions,
) -> list[_Task]:
    """Return what each model is to do; images are listed once for all models that read them in the same way."""
    listed: dict[str, tuple[FoundImages, References, list[ReferencedMask]]] = {}
    tasks = []
    for model in models:
        conversion = model.description.image_conversion()
        key = json.dumps(conversion.to_json(), sort_keys=True)
        if key not in listed:
            found = find_images(places, conversion, output=output)
            if problems := [*found.refusals, *found.problems]:
                raise InvalidDatasetError(problems, output)
            there = find_references(references, options.dataset_json, images=found.cases, output=output)
            listed[key] = (found, there, referenced_masks(found.cases, there))
        found, there, masks = listed[key]
        values = values_in_references(conversion, model.description.labels, there.dataset, name=model.name)
        tasks.append(
            _Task(
                model=model,
                folder=output / model.name,
                conversion=conversion,
                found=found,
                masks=masks,
                references=there,
                values=values,
            )
        )
    return tasks


def _predict(
    task: _Task, predictor: "Callable[[Model], Predictor]", activity: str, options: ExternalTestOptions
) -> Mapping[str, str]:
    """Predict what is missing, and return why images have no mask."""
    done = predict_found(
        task.found,
        task.folder,
        conversion=task.conversion,
        predictor=lambda: predictor(task.model.model),
        options=RunOptions(progress=options.progress, activity=activity),
    )
    return done.failures


def _score(task: _Task, options: ExternalTestOptions) -> Evaluation:
    files = [
        CaseFiles(identifier=one.identifier, prediction=task.folder / one.mask, reference=one.reference)
        for one in task.masks
    ]
    dataset = task.references.dataset
    if dataset is None:
        plain = plain_mask_task(files, distances=options.distances)
    else:
        plain = label_map_task(files, dataset, distances=options.distances)
    reader = TranslatingReader(reader=plain.scorer.reader, predictions=task.folder, values=task.values)
    scoring = replace(plain, scorer=replace(plain.scorer, reader=reader))
    return evaluate_files(scoring, task.folder, processes=options.processes, progress=options.progress)
