"""What a prediction writes for each image besides its mask, and where it lies in the output folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.sources.unpacked_names import name_as_packed
from nnunet_mamba.data.unlabelled.axial_view import as_radiologists_look
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.image_reading import ReadImage
from nnunet_mamba.data.unlabelled.mask_writing import label_on_source, mask_files, write_masks_on_source
from nnunet_mamba.prediction.finished_images import FinishedImages
from nnunet_mamba.system.atomic import replacing

if TYPE_CHECKING:
    from nnunet_mamba.measurements.statistics_table import StatisticsTable
    from nnunet_mamba.prediction.label_maps import LabelMap
    from nnunet_mamba.prediction.preprocessing import FloatArray

OVERLAYS, PROBABILITIES = "overlays", "probabilities"


def overlay_name(case: UnlabelledCase) -> str:
    """Return the file of a case's overlay below the output, with "/" between folders: a JPEG, which any program shows.

    Args:
        case: of ``find_images``.
    """
    return f"{OVERLAYS}/{case.identifier}.jpg"


def probabilities_name(case: UnlabelledCase) -> str:
    """Return the file of a case's probabilities below the output, with "/" between folders.

    Args:
        case: of ``find_images``.
    """
    return f"{PROBABILITIES}/{case.identifier}.npz"


@dataclass(frozen=True, kw_only=True)
class WantedFiles:
    """The files that are wanted of every image.

    Args:
        folder: of all of them; masks lie in it, with the subfolders that the images had.
        conversion: of the training data.
        overlays: whether to draw the outlines on the images, into ``overlays/``.
        probabilities: whether to keep the network's probabilities, in ``probabilities/``.
        statistics: the table to measure for; None measures nothing.
        finished: the images whose masks are there.
    """

    folder: Path
    conversion: ImageConversion
    overlays: bool = False
    probabilities: bool = False
    statistics: "StatisticsTable | None" = None
    finished: FinishedImages

    def masks(self, case: UnlabelledCase) -> list[Path]:
        """Return the files of a case's mask."""
        return mask_files(case, self.folder)

    def overlay(self, case: UnlabelledCase) -> Path:
        """Return the file of a case's overlay."""
        return self.folder / overlay_name(case)

    def probability_file(self, case: UnlabelledCase) -> Path:
        """Return the file of a case's probabilities."""
        return self.folder / probabilities_name(case)

    def are_there(self, case: UnlabelledCase) -> bool:
        """Return whether an earlier run has written all that is wanted of a case."""
        files = [*self.masks(case)]
        if self.overlays:
            files.append(self.overlay(case))
        if self.probabilities:
            files.append(self.probability_file(case))
        if case not in self.finished:
            return False
        is_measured = self.statistics is None or case.masks[0] in self.statistics
        return is_measured and all(file.is_file() and file.stat().st_size for file in files)

    def write(
        self, case: UnlabelledCase, image: ReadImage, label: "LabelMap", probabilities: "FloatArray | None"
    ) -> bool:
        """Write all that is wanted of a case, its mask last, so that a mask says that the rest is there.

        Args:
            case: that was predicted.
            image: as it was read.
            label: (z, y, x) on the grid that the image was read on.
            probabilities: (n, z, y, x) on that grid, if they are wanted.

        Returns:
            Whether the label map has any label on the source's grid.

        Raises:
            OSError: a file cannot be written.
        """
        on_source = label_on_source(label, image, self.conversion)
        if self.probabilities:
            assert probabilities is not None
            self._write_probabilities(self.probability_file(case), probabilities)
        if self.overlays:
            self._write_overlay(case, image, label, on_source)
        if self.statistics is not None:
            self._measure(case, image, on_source)
        write_masks_on_source(on_source, case, image, conversion=self.conversion, output=self.folder)
        self.finished.add(case)
        return bool(on_source.any())

    def _foreground(self) -> Mapping[str, int]:
        return {name: number for name, number in self.conversion.labels.items() if number}

    def _write_probabilities(self, path: Path, probabilities: "FloatArray") -> None:
        with replacing(path) as temporary:
            np.savez_compressed(temporary, probabilities=probabilities)

    def _write_overlay(
        self, case: UnlabelledCase, image: ReadImage, label: "LabelMap", on_source: npt.NDArray[Any]
    ) -> None:
        from nnunet_mamba.overlays.grey_levels import SOFT_TISSUE
        from nnunet_mamba.overlays.label_overlay import draw_overlay, write_overlay

        if self.conversion.kind.is_resized:
            upright = label_on_source(label, image, self.conversion, upright=True)
            drawn = draw_overlay(image.upright_picture(), upright, labels=self._foreground())
        else:
            is_ct = self.conversion.kind is ImageKind.CT_VOLUMES
            shown = image.channels[self.conversion.kind.shown_channel]
            volume, label_map, spacing = as_radiologists_look(shown, on_source, image)
            drawn = draw_overlay(
                volume,
                label_map,
                labels=self._foreground(),
                spacing=spacing,
                window=SOFT_TISSUE if is_ct else None,
            )
        write_overlay(drawn, self.overlay(case))

    def _measure(self, case: UnlabelledCase, image: ReadImage, on_source: npt.NDArray[Any]) -> None:
        from nnunet_mamba.measurements.label_statistics import measure

        assert self.statistics is not None
        spacing = None if self.conversion.kind.is_resized else image.spacing
        self.statistics.add(
            measure(on_source, labels=self._foreground(), spacing=spacing),
            image=name_as_packed(str(case.channels[0])),
            mask=case.masks[0],
        )
