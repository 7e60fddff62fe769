"""Convert the data sets of an experiment, each with its own options, by the converters of ``data``."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic, places_of_challenge
from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg
from nnunet_mamba.data.converters.ph2 import Ph2Options, convert_ph2
from nnunet_mamba.data.converters.synapse import SynapseOptions, convert_synapse
from nnunet_mamba.data.sources.archives import unpacked
from nnunet_mamba.data.writing.dataset_folder import raw_dataset_folder
from nnunet_mamba.data.writing.raw_dataset import Conversion
from nnunet_mamba.data.writing.run_options import RunOptions
from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.system.parallel import default_jobs


@dataclass(frozen=True, kw_only=True)
class ConvertedData:
    """A converted data set.

    Args:
        data: as it was declared.
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        n_images: in it, those in no fold included.
        source: where the split is from; "" without one.
        warning: of the split; "" without one.
    """

    data: PreparedData
    folder: Path
    n_images: int
    source: str = ""
    warning: str = ""


def convert(data: PreparedData, source: Path, request: ReproductionRequest) -> ConvertedData:
    """Convert a data set, or recognise that this is done.

    Args:
        data: which one, and how.
        source: its folder or archive.
        request: of the run.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        FileExistsError: the folder holds another conversion, or one of other files.
        ValueError: these are not the files of the data set, or too few.
        OSError: writing failed.
    """
    folder = raw_dataset_folder(data.number, data.name)
    run = RunOptions(
        jobs=default_jobs(),
        progress=request.progress,
        skip_invalid=request.skip_invalid,
        sources=(source,),
        split=data.split_name if data.split else RunOptions.split,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        place = stack.enter_context(unpacked(source, beside=folder.parent, progress=request.progress))
        done = _converted(data, place, folder, run=run, label_numbering=request.label_numbering)
    split = done.split
    if split is None or not split.folds:
        return ConvertedData(data=data, folder=folder, n_images=len(done.cases))
    return ConvertedData(
        data=data,
        folder=folder,
        n_images=len(done.cases),
        source=split.source,
        warning=split.warning or "",
    )


def _converted(
    data: PreparedData, source: Path, folder: Path, *, run: RunOptions, label_numbering: str | None
) -> Conversion:
    size = None if data.size is None else (data.size, data.size)
    if data.dataset == "ph2":
        return convert_ph2(
            source, folder, as_test=not data.split, options=Ph2Options(size=size, sigmoid=data.sigmoid, run=run)
        )
    if data.dataset == "lgg":
        return convert_lgg(
            source, folder, options=LggOptions(as_volumes=False, size=size, sigmoid=data.sigmoid, run=run)
        )
    if data.dataset == "synapse":
        return convert_synapse(
            source, folder, options=SynapseOptions(label_numbering=label_numbering, sigmoid=data.sigmoid, run=run)
        )
    # A part that counts as given is not taken: the split draws the test images itself.
    given: dict[str, Path | None] = {"test_images": source}
    if not data.with_validation_part:
        given["validation_images"] = source
    parts = places_of_challenge(source, split=data.split_name, given=given)
    return convert_isic(
        parts.get("images") or source,
        parts.get("masks"),
        folder,
        validation_images=parts.get("validation_images"),
        validation_masks=parts.get("validation_masks"),
        options=IsicOptions(size=size, sigmoid=data.sigmoid, run=run),
    )
