"""Predict the images that a user names, and write their masks and whatever else is wanted into one folder."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.data.problems import InvalidDatasetError, Problem
from nnunet_mamba.data.sources.unpacked_names import name_as_packed
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.unlabelled.image_reading import ReadImage, UnreadableImageError, read_image
from nnunet_mamba.data.unlabelled.image_search import FoundImages, find_images
from nnunet_mamba.data.unlabelled.mask_places import files_that_are_folders
from nnunet_mamba.data.unlabelled.named_files import unpacked_archives
from nnunet_mamba.prediction.finished_images import FinishedImages
from nnunet_mamba.prediction.outputs import OVERLAYS, PROBABILITIES, WantedFiles, overlay_name, probabilities_name
from nnunet_mamba.prediction.run_record import DATASET, FOLDS, continue_or_begin
from nnunet_mamba.system.atomic import remove_partial_files
from nnunet_mamba.system.folder_lock import first_of_writers, one_of_writers, only_writer, refuse_if_unwritable
from nnunet_mamba.system.optional_packages import require_packages
from nnunet_mamba.system.progress import ShownProgress

if TYPE_CHECKING:
    from nnunet_mamba.measurements.statistics_table import StatisticsTable
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.engine import PreparedImage
    from nnunet_mamba.prediction.predictor import Predictor
    from nnunet_mamba.prediction.stream import Outcome

# What to do about an output where nothing can be written.
UNWRITABLE = "make room, get the right to write there, or choose another `output`"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is wanted of a run.

    Args:
        overlays: draw the outlines on the images, into ``overlays/``.
        probabilities: keep the network's probabilities, in ``probabilities/``.
        statistics: measure the masks, into statistics.csv and statistics.json.
        part: (k, n), the k-th of n shares of the images, from 1; None means all.
        force: predict also images that the model was not made for.
        progress: show it on standard error.
        activity: what to call it there.
    """

    overlays: bool = False
    probabilities: bool = False
    statistics: bool = False
    part: tuple[int, int] | None = None
    force: bool = False
    progress: bool = False
    activity: str = "predicting"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run did.

    Args:
        folder: of the masks.
        n_images: of the share that was asked for, those that failed included.
        n_in_all: images of all shares, without those that cannot be predicted as their names tell.
        n_written: images that this run has predicted.
        n_empty: those of them without any label.
        failures: why images were not predicted, by the names of their files.
        notes: what was left out and why, in sentences.
        seconds: from the first image to the last file.
    """

    folder: Path
    n_images: int
    n_in_all: int
    n_written: int
    n_empty: int
    failures: Mapping[str, str]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def report(self, model: "Model") -> dict[str, Any]:
        """Return all of it, with the model and the versions, as JSON values.

        Args:
            model: that has predicted.
        """
        description = model.description
        return {
            "model": description.name,
            "trainer": description.trainer,
            "folds": list(description.fold_names),
            "images": self.n_images,
            "written_by_this_run": self.n_written,
            "without_label": self.n_empty,
            "failures": [{"image": image, "reason": reason} for image, reason in self.failures.items()],
            "left_out": list(self.notes),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_written / self.seconds, 3) if self.n_written else None,
            "versions": {name: version(name) for name in ("nnunet-mamba", *model.packages)},
        }


@dataclass
class _Count:
    written: int = 0
    empty: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def predict_images(
    images: Sequence[str | Path],
    output: Path,
    *,
    conversion: ImageConversion,
    predictor: "Callable[[], Predictor]",
    options: RunOptions | None = None,
) -> Run:
    """Predict images. A second run after an interruption continues where it stopped.

    Args:
        images: files, folders with all that is below them, patterns such as ``photos/*.jpg``, and zip archives.
        output: new or empty, or of an earlier run with the same model.
        conversion: of the data that the model was trained on.
        predictor: makes the model's predictor, once it is known that there is something to predict.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: the images cannot be predicted as they are named; nothing has been written.
        FileExistsError: ``output`` holds something else, or another process is writing there that predicts anything
            but another share of the same prediction.
        ValueError: the model is damaged.
        ModuleNotFoundError: an option needs a package that is not installed.
        OSError: writing failed; whole files stay, and a second run continues.
    """
    options = options or RunOptions()
    _require_packages(options)
    refuse_if_unwritable(output, way_out=UNWRITABLE)
    with unpacked_archives(images, output=output, progress=options.progress) as places:
        found = find_images(places, conversion, output=output, part=options.part)
        return predict_found(found, output, conversion=conversion, predictor=predictor, options=options)


def predict_found(
    found: FoundImages,
    output: Path,
    *,
    conversion: ImageConversion,
    predictor: "Callable[[], Predictor]",
    options: RunOptions | None = None,
) -> Run:
    """Predict images that are found already, such as those that several models are to predict.

    Args:
        found: by ``find_images`` for this conversion; archives must be unpacked still.
        output: see ``predict_images``, as for the rest.
        conversion: of the data that the model was trained on.
        predictor: makes the model's predictor.
        options: None takes the defaults; their part is that of ``found``.

    Raises:
        InvalidDatasetError: see ``predict_images``, as for the rest.
        FileExistsError: ``output`` holds something else, or another process is writing there.
        ValueError: the model is damaged.
        OSError: writing failed.
    """
    options = options or RunOptions()
    if refusals := [*found.refusals, *_in_the_way(found.cases, output, options)]:
        raise InvalidDatasetError(refusals, output)
    if not found.cases and not found.problems:
        # A share of fewer images than there are shares.
        return Run(
            folder=output,
            n_images=0,
            n_in_all=found.n_images,
            n_written=0,
            n_empty=0,
            failures={},
            notes=found.notes,
        )
    with _right_to_write(output, options):
        return _predict(found, output, conversion, predictor(), options)


def _require_packages(options: RunOptions) -> None:
    """Raise before anything is read if an environment for ONNX files lacks what an option needs."""
    for is_wanted, what, package in (
        (options.overlays, "overlays", "contourpy"),
        (options.statistics, "statistics", "scipy"),
    ):
        if is_wanted:
            require_packages([package], what=what, install=package)


def _in_the_way(cases: Sequence[UnlabelledCase], output: Path, options: RunOptions) -> Iterator[Problem]:
    """Yield a problem for each image whose other files would lie where something else lies or is to lie."""
    yield from _among_other_files(cases, options)
    if options.overlays:
        yield from files_that_are_folders([(overlay_name(case), case) for case in cases], output, what="overlay")
    if options.probabilities:
        names = [(probabilities_name(case), case) for case in cases]
        yield from files_that_are_folders(names, output, what="file of probabilities")


def _among_other_files(cases: Sequence[UnlabelledCase], options: RunOptions) -> Iterator[Problem]:
    """Yield a problem for the first image of each folder whose masks would lie among files of another kind."""
    taken = [
        name for name, is_wanted in ((OVERLAYS, options.overlays), (PROBABILITIES, options.probabilities)) if is_wanted
    ]
    for name in taken:
        case = next((case for case in cases if case.identifier.startswith(f"{name}/")), None)
        if case is not None:
            text = f"its mask would lie in {name}/, where the {name} are written; rename that folder of images"
            yield Problem(case.identifier, text, case.channels[0])


def _right_to_write(output: Path, options: RunOptions) -> AbstractContextManager[None]:
    # The parts of a cluster's array share the folder.
    if options.part is None:
        return only_writer(output)
    return one_of_writers(output, "part-{}-of-{}".format(*options.part))


def _predict(
    found: FoundImages, output: Path, conversion: ImageConversion, predictor: "Predictor", options: RunOptions
) -> Run:
    with first_of_writers(output) if options.part is not None else nullcontext():
        continue_or_begin(output, record_of(predictor, conversion, options))
    if options.part is None:
        remove_partial_files(output, below=True)
    table = _table(output) if options.statistics else None
    outputs = WantedFiles(
        folder=output,
        conversion=conversion,
        overlays=options.overlays,
        probabilities=options.probabilities,
        statistics=table,
        finished=FinishedImages(output),
    )
    count = _Count(failures={str(problem.file or problem.identifier): problem.text for problem in found.problems})
    cases = [case for case in found.cases if not outputs.are_there(case)]
    start = time.monotonic()
    try:
        with ShownProgress(len(cases), options.activity, unit="image", is_shown=options.progress) as shown:
            for outcome in shown.over(_outcomes(cases, conversion, predictor, outputs, options)):
                _note(outcome, count)
    finally:
        if table is not None:
            table.write()
    return Run(
        folder=output,
        n_images=len(found.cases) + len(found.problems),
        n_in_all=found.n_images,
        n_written=count.written,
        n_empty=count.empty,
        failures=count.failures,
        notes=found.notes,
        seconds=time.monotonic() - start,
    )


def _table(output: Path) -> "StatisticsTable":
    from nnunet_mamba.measurements.statistics_table import StatisticsTable

    return StatisticsTable(output)


def record_of(predictor: "Predictor", conversion: ImageConversion, options: RunOptions) -> dict[str, Any]:
    """Return what decides the masks of a run, and the data set of the model: JSON values.

    Args:
        predictor: of the model.
        conversion: of its training data.
        options: of the run.
    """
    return {
        "model": predictor.model.description.name,
        DATASET: predictor.model.description.data.dataset,
        FOLDS: list(predictor.model.description.fold_names),
        "weights": predictor.weights_digest,
        "mirroring": predictor.is_mirroring,
        "postprocessing": list(predictor.postprocessing),
        "conversion": conversion.to_json(),
        "force": options.force,
    }


def _outcomes(
    cases: Sequence[UnlabelledCase],
    conversion: ImageConversion,
    predictor: "Predictor",
    outputs: WantedFiles,
    options: RunOptions,
) -> "Iterator[Outcome[UnlabelledCase, bool]]":
    from nnunet_mamba.prediction.stream import Stream

    def load(case: UnlabelledCase) -> "tuple[PreparedImage, ReadImage]":
        image = read_image(case, conversion, force=options.force)
        return predictor.engine.prepare(image.channels, image.spacing), image

    stream: Stream[UnlabelledCase, ReadImage, bool] = Stream(
        predictor.engine, load=load, save=outputs.write, with_probabilities=options.probabilities
    )
    return stream.outcomes(cases)


def _note(outcome: "Outcome[UnlabelledCase, bool]", count: _Count) -> None:
    if outcome.error is not None:
        file = name_as_packed(str(outcome.item.channels[0]))
        count.failures[file] = _told(outcome.error, file)
        return
    assert outcome.result is not None
    count.written += 1
    count.empty += not outcome.result


def _told(error: Exception, file: str) -> str:
    """Return why an image was not predicted, in words for the user that name it."""
    text = str(error) or type(error).__name__
    if not isinstance(error, UnreadableImageError):
        return f"{file}: {text}"
    return f"{text}; `force=True` predicts it in spite of that" if error.can_be_forced else text
