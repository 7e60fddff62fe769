"""What all conversions of pictures share: look at a case, read it, resize it, and remember the way back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.joined_masks import MaskFileError, joined_label
from nnunet_mamba.data.converters.mask_hints import border_share
from nnunet_mamba.data.formats.image_files import (
    ByteImage,
    ImageFileError,
    Shape,
    load_photograph,
    opened_image,
    orientation_of,
    resized_image,
    resized_mask,
    write_png,
)
from nnunet_mamba.data.problems import CaseCheck, Problem


@dataclass(frozen=True, kw_only=True)
class ImageCaseConverter:
    """Check, read and write one case of pictures; a subclass says how masks become labels.

    Args:
        size: (y, x) to resize to; None keeps the size.
        allow_empty_masks: accept masks without foreground.
    """

    size: Shape | None = None
    allow_empty_masks: bool = False

    def label_of(self, path: Path) -> ByteImage:
        """Return the label (y, x) that a mask means, at full size.

        Raises:
            ImageFileError: the mask is damaged, or its pixels have no certain meaning.
        """
        raise NotImplementedError

    def channel_of(self, picture: Image.Image) -> Image.Image:
        """Return what is written of an RGB picture: itself.

        Raises:
            ImageFileError: the picture is of another kind than expected.
        """
        return picture

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files.

        Args:
            case: with a mask or without.
        """
        problems = []
        label = digest = None
        shape: Shape = (0, 0)
        if case.mask is not None:
            try:
                label = self._visible_label(case)
            except MaskFileError as error:
                problems.append(Problem(case.identifier, str(error), error.path))
        try:
            pictures, shape = self._pictures(case, label, quick=True)
        except _ChannelError as error:
            problems.append(Problem(case.identifier, str(error), error.path))
        else:
            content = blake2b(repr(shape).encode(), digest_size=16)
            for picture in pictures:
                content.update(picture.tobytes())
            digest = content.hexdigest()
            if label is not None and label.shape != shape:
                problems.append(Problem(case.identifier, _mismatch(shape, label.shape), case.mask))
        return CaseCheck(
            problems=tuple(problems),
            source={
                "shape": list(shape),
                **({"masks": len(case.masks)} if len(case.masks) > 1 else {}),
                **(_turn_of(case) if digest else {}),
            },
            digest=digest,
            foreground=None if label is None else self.foreground_share(label),
            border=None if label is None else self.border_share(label),
        )

    def foreground_share(self, label: ByteImage) -> float:
        """Return the share of pixels that are not background."""
        return float(np.count_nonzero(label) / label.size)

    def border_share(self, label: ByteImage) -> float | None:
        """Return the share of pixels at the border that are foreground; None if that says nothing."""
        return border_share(label)

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the pictures' pixels, (y, x, 3) or (y, x) each, and the label (y, x) if the case has one.

        Args:
            case: one that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        try:
            # Read the label at full size first: resizing grey levels would move the border.
            label = None if case.mask is None else self._visible_label(case)
            pictures, shape = self._pictures(case, label)
        except (ImageFileError, MaskFileError) as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.mask})") from error
        pixels = [resized_image(picture, self.size) for picture in pictures]
        if label is None:
            return [*pixels]
        if label.shape != shape:
            raise ValueError(f"{case.identifier}: {_mismatch(shape, label.shape)} ({case.mask})")
        return [*pixels, resized_mask(label, self.size)]

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save a picture or label as PNG.

        Args:
            path: the file to create.
            array: (y, x, 3) or (y, x), uint8.
        """
        write_png(path, array)

    def _visible_label(self, case: Case) -> ByteImage:
        """Return the label of a case; raise if nothing of it is left at the size that is written.

        Raises:
            MaskFileError: see ``label_of``.
        """
        # One of several masks may be empty, but not all of them.
        lenient = replace(self, allow_empty_masks=True) if len(case.masks) > 1 else self
        label = joined_label(case, lenient.label_of)
        assert case.mask is not None
        if not self.foreground_share(label):
            if self.allow_empty_masks:
                return label
            text = (
                "empty masks: every pixel of all of them is background; if that is meant, use `allow_empty_masks=True`"
            )
            raise MaskFileError(text, case.mask)
        if not self.foreground_share(resized_mask(label, self.size)):
            raise MaskFileError(
                f"{np.count_nonzero(label)} labelled pixels, and none of them is left at the size {self.size}; "
                "choose a larger `size`",
                case.mask,
            )
        return label

    def _pictures(self, case: Case, label: ByteImage | None, *, quick: bool = False) -> tuple[list[Image.Image], Shape]:
        """Return the pictures of all channels and their common full size (y, x)."""
        label_shape = None if label is None else (label.shape[0], label.shape[1])
        pictures = []
        shapes: list[Shape] = []
        for path in case.channels:
            try:
                picture, shape = load_photograph(path, label_shape=label_shape, target=self.size, quick=quick)
                pictures.append(self.channel_of(picture))
                shapes.append(shape)
                if shape != shapes[0]:
                    raise ImageFileError(f"{_pixels(shape)}, and {case.channels[0].name} has {_pixels(shapes[0])}")
            except ImageFileError as error:
                raise _ChannelError(str(error), path) from error
        return pictures, shapes[0]


class _ChannelError(ImageFileError):
    """What is wrong with one of several image files."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def _turn_of(case: Case) -> dict[str, int]:
    """Return how the picture was turned upright, if a predicted label map is to be turned back.

    A mask of the source is drawn on the upright picture, or else the picture is not turned.
    """
    if case.mask is not None:
        return {}
    with opened_image(case.channels[0]) as image:
        orientation = orientation_of(image)
    return {"orientation": orientation} if orientation > 1 else {}


def _pixels(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _mismatch(image: Sequence[int], label: Sequence[int]) -> str:
    return (
        f"the mask has {_pixels(label)}, its image {_pixels(image)} (width x height); "
        "expected the same, is it the mask of another image?"
    )
