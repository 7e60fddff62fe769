"""Convert the lower-grade gliomas of TCGA (Kaggle's lgg-mri-segmentation) for nnU-Net.

A case is a scan of a patient, in 3D, or a slice; ``lgg_tree`` finds them. Scans for which a sequence was never acquired
are listed in a table.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.lgg_slices import (
    FLAIR,
    LARGEST_SPACING,
    SEQUENCES,
    SliceConverter,
    StackConverter,
    mask_of,
)
from nnunet_mamba.data.converters.lgg_tree import find_cases, find_tree
from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.formats.picture_sizes import size_text
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import (
    Conversion,
    DatasetDescription,
    write_prediction_images,
    write_raw_dataset,
)
from nnunet_mamba.data.writing.run_options import RunOptions
from nnunet_mamba.system.atomic import replacing

MISSING_SEQUENCES = "missing_sequences.csv"


@dataclass(frozen=True, kw_only=True)
class LggFacts:
    """What a data set in LGG's layout is called, and what its files do not say.

    The usual spacing of axial FLAIR is taken for all scans, which also keeps nnU-Net from resampling them.

    Args:
        name: of the converter, which its record of a conversion keeps.
        foreground: name of the label.
        slice_thickness: mm from slice to slice.
        pixel_spacing: mm from pixel to pixel.
    """

    name: str = "Dataset103_LGG"
    foreground: str = "tumour"
    slice_thickness: float = 5.0
    pixel_spacing: float = 1.0

    @property
    def labels(self) -> LabelValues:
        """What the values of masks mean."""
        return LabelValues.of({"background": 0, self.foreground: 255})


@dataclass(frozen=True, kw_only=True)
class LggOptions:
    """Options of the conversion.

    Args:
        as_volumes: a case is a scan of a patient; otherwise it is a slice.
        slice_thickness: mm from slice to slice, of volumes; None takes that of the facts.
        pixel_spacing: mm from pixel to pixel, of volumes; None takes that of the facts.
        size: (y, x) to which slices that are cases are resized; None keeps the size.
        sigmoid: declare the tumour as a region, so that nnU-Net trains one sigmoid output with BCE and Dice.
        run: how to run the conversion.
        facts: names of the data set, and its usual spacing.

    Raises:
        ValueError: a size for volumes, or a spacing that is no length.
    """

    as_volumes: bool = True
    slice_thickness: float | None = None
    pixel_spacing: float | None = None
    size: Shape | None = None
    sigmoid: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    facts: LggFacts = field(default_factory=LggFacts)

    def __post_init__(self) -> None:
        thickness, in_plane, _ = self.spacing
        for name, spacing in (("slice_thickness", thickness), ("pixel_spacing", in_plane)):
            if not (math.isfinite(spacing) and 0 < spacing <= LARGEST_SPACING):
                raise ValueError(f"`{name}={spacing:g}`: expected more than 0, {LARGEST_SPACING:g} mm at most")
        if self.as_volumes and self.size is not None:
            raise ValueError(
                f"`size={size_text(self.size)}` is for `as_volumes=False`; nnU-Net brings volumes to one spacing by "
                "itself, leave it out"
            )

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm, (z, y, x), of volumes."""
        thickness = self.facts.slice_thickness if self.slice_thickness is None else self.slice_thickness
        in_plane = self.facts.pixel_spacing if self.pixel_spacing is None else self.pixel_spacing
        return thickness, in_plane, in_plane

    def recorded(self) -> dict[str, Any]:
        """Return the options that decide the bytes of images, for the record."""
        values = {"source_labels": self.facts.labels.recorded()}
        if self.as_volumes:
            thickness, in_plane, _ = self.spacing
            return {"as": "volumes", "slice_thickness": thickness, "pixel_spacing": in_plane, **values}
        return {"as": "slices", "size": size_text(self.size), **values}

    def description(self) -> DatasetDescription:
        """Return what dataset.json is to say."""
        labels, order = self.facts.labels.for_dataset_json(sigmoid=self.sigmoid)
        return DatasetDescription(
            channel_names=SEQUENCES,
            labels=labels,
            file_ending=".nii.gz" if self.as_volumes else ".png",
            reader_writer="SimpleITKIO" if self.as_volumes else "NaturalImage2DIO",
            regions_class_order=order,
            files_per_case=len(SEQUENCES) if self.as_volumes else 1,
        )

    def converter(self) -> StackConverter | SliceConverter:
        """Return what converts a case."""
        if self.as_volumes:
            return StackConverter(self.spacing)
        return SliceConverter(self.size)


def convert_lgg(source: Path, folder: Path, *, options: LggOptions | None = None) -> Conversion:
    """Convert the data set to an nnU-Net raw data set, with a table of missing sequences beside dataset.json.

    Args:
        source: the folder that holds the patients' folders, or ``kaggle_3m``.
        folder: ``$nnUNet_raw/Dataset103_LGG``.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: no patients, two trees that differ, or a spacing that is no length.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or LggOptions()
    tree, _ = find_tree(source)
    cases, problems = find_cases(tree, as_volumes=options.as_volumes)
    done = write_raw_dataset(
        cases,
        folder,
        options.description(),
        converter=options.converter(),
        record=ConversionRecord.of(
            options.facts.name,
            {**options.recorded(), "sigmoid": options.sigmoid},
            [_with_all_masks(case) for case in cases],
        ),
        problems=problems,
        options=options.run,
    )
    if not done.is_dry_run:
        with replacing(folder / MISSING_SEQUENCES) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["scan", "sequence", "equals"])
            writer.writerows((scan, sequence, SEQUENCES[FLAIR]) for scan, sequence in missing_sequences(done))
    return done


def prepare_lgg_images(source: Path, folder: Path, *, options: LggOptions | None = None) -> Conversion:
    """Prepare slices, with masks beside them or without, for ``nnUNetv2_predict``, as the training images were.

    Args:
        source: the folder that holds the patients' folders, or ``kaggle_3m``.
        folder: input folder of the prediction.
        options: all but ``sigmoid`` must be those of the training data; None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: no patients, two trees that differ, or a spacing that is no length.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or LggOptions()
    tree, _ = find_tree(source)
    cases, problems = find_cases(tree, as_volumes=options.as_volumes, is_labelled=False)
    return write_prediction_images(
        cases,
        folder,
        options.description(),
        converter=options.converter(),
        record=ConversionRecord.of(options.facts.name, {**options.recorded(), "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )


def _with_all_masks(case: Case) -> Case:
    """Return a case that names every file it is made from, for the record."""
    _, *masks = (mask_of(path) for path in case.channels)
    return replace(case, channels=(*case.channels, *masks))


def missing_sequences(done: Conversion) -> list[tuple[str, str]]:
    """Return the scans with sequences that are a copy of FLAIR in every slice, and these sequences.

    Args:
        done: what ``convert_lgg`` or ``prepare_lgg_images`` returned.
    """
    stored: dict[str, Any] = {}
    if not done.checked:
        # An earlier run has looked at the files.
        stored = json.loads((done.folder / RECORD_FILE).read_text(encoding="utf-8"))["cases"]
    copies: dict[str, set[str]] = {}
    for case in done.cases:
        identifier = case.identifier
        source = stored[identifier]["source"] if stored else done.checked[identifier].source
        scan = case.channels[0].parent.name
        copies[scan] = copies.get(scan, set(SEQUENCES)) & set(source["same_as_flair"])
    return [(scan, name) for scan in sorted(copies) for name in _in_order(copies[scan])]


def _in_order(names: set[str]) -> Sequence[str]:
    return [name for name in SEQUENCES if name in names]
