"""What all conversions of pictures share: look at a case, read it, resize it, and remember the way back."""

from collections.abc import Callable, Sequence
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
    Photograph,
    Shape,
    decode_photograph,
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
        source: dict[str, Any] = {"shape": [0, 0]}
        label = digest = None
        if case.mask is not None:
            try:
                label = self._visible_label(case)
            except MaskFileError as error:
                problems.append(Problem(case.identifier, str(error), error.path))
        try:
            loaded = self._load(case, label, quick=True)
        except PictureFileError as error:
            problems.append(Problem(case.identifier, str(error), error.path))
        else:
            source = source_of(loaded[0], has_mask=case.mask is not None)
            shape = loaded[0].shape
            content = blake2b(repr(shape).encode(), digest_size=16)
            for photograph in loaded:
                content.update(photograph.picture.tobytes())
            digest = content.hexdigest()
            if label is not None and label.shape != shape:
                problems.append(Problem(case.identifier, _mismatch(shape, label.shape), case.mask))
        return CaseCheck(
            problems=tuple(problems),
            source={**source, **({"masks": len(case.masks)} if len(case.masks) > 1 else {})},
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
            loaded = self._load(case, label)
        except (ImageFileError, MaskFileError) as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.mask})") from error
        pixels = [resized_image(photograph.picture, self.size) for photograph in loaded]
        if label is None:
            return [*pixels]
        if label.shape != loaded[0].shape:
            raise ValueError(f"{case.identifier}: {_mismatch(loaded[0].shape, label.shape)} ({case.mask})")
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

    def _load(self, case: Case, label: ByteImage | None, *, quick: bool = False) -> list[Photograph]:
        """Return the photographs of all channels."""
        label_shape = None if label is None else (label.shape[0], label.shape[1])
        return load_pictures(
            case.channels, target=self.size, channel_of=self.channel_of, label_shape=label_shape, quick=quick
        )


class PictureFileError(ImageFileError):
    """What is wrong with one of several image files, which ``path`` names."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def load_pictures(
    paths: Sequence[Path],
    *,
    target: Shape | None,
    channel_of: Callable[[Image.Image], Image.Image],
    label_shape: Shape | None = None,
    quick: bool = False,
) -> list[Photograph]:
    """Return the pictures of all channels of an image, of one full size.

    Args:
        paths: a picture for each channel, or one in colour.
        target: (y, x) that they will be resized to; None keeps the size.
        channel_of: see ``ImageCaseConverter.channel_of``.
        label_shape: see ``decode_photograph``.
        quick: see ``decode_photograph``.

    Raises:
        PictureFileError: one of them is damaged, or of another kind or size than expected.
    """
    loaded: list[Photograph] = []
    for path in paths:
        try:
            decoded = decode_photograph(path, label_shape=label_shape, target=target, quick=quick)
            loaded.append(replace(decoded, picture=channel_of(decoded.picture)))
            if decoded.shape != loaded[0].shape:
                raise ImageFileError(f"{_pixels(decoded.shape)}, and {paths[0].name} has {_pixels(loaded[0].shape)}")
        except ImageFileError as error:
            raise PictureFileError(str(error), path) from error
    return loaded


def source_of(photograph: Photograph, *, has_mask: bool) -> dict[str, Any]:
    """Return what a conversion has to remember of a photograph for the way back, see ``CaseCheck``.

    Args:
        photograph: the first channel.
        has_mask: whether the source has a mask. It is drawn on the upright picture, or else the picture is not turned,
            so a predicted label map is not to be turned back.
    """
    turn = {} if has_mask or photograph.orientation == 1 else {"orientation": photograph.orientation}
    return {"shape": list(photograph.shape), **turn}


def _pixels(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _mismatch(image: Sequence[int], label: Sequence[int]) -> str:
    return (
        f"the mask has {_pixels(label)}, its image {_pixels(image)} (width x height); "
        "expected the same, is it the mask of another image?"
    )
