"""Images with their classes: files on the disk, or pixels in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.formats.image_files import ImageFileError, load_photograph, resized_image
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.progress import ShownProgress

Pixels: TypeAlias = npt.NDArray[np.uint8]
Size: TypeAlias = tuple[int, int]

# Problems of single images that an error names.
_SHOWN = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """Images, each of one class.

    Args:
        classes: their names, at least two; the class with index i is ``classes[i]``.
        labels: index of each image's class, (n,).
        pictures: image files, or pixels of all images, (n, h, w, 3).

    Raises:
        ValueError: the parts do not fit together.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    pictures: Sequence[Path] | Pixels

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"classes are {', '.join(self.classes)}, expected at least two with names of their own")
        if len(self.pictures) != len(self.labels):
            raise ValueError(f"{len(self.pictures)} pictures and {len(self.labels)} labels, expected one for each")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(
                f"labels are {self.labels.min()} to {self.labels.max()}, expected 0 to {len(self.classes) - 1}, the "
                f"indices of {len(self.classes)} classes"
            )

    @classmethod
    def from_pixels(
        cls, pixels: Pixels, labels: Sequence[int] | npt.NDArray[np.int64], classes: Sequence[str]
    ) -> "LabelledImages":
        """Return images that are in memory.

        Args:
            pixels: uint8, (n, h, w, 3), or (n, h, w) for grey images.
            labels: index of each image's class.
            classes: their names.

        Raises:
            ValueError: the parts do not fit together.
        """
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3):
            raise ValueError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}, expected uint8 of shape (n, h, w) or (n, h, w, 3)"
            )
        colours = np.repeat(pixels[..., None], 3, axis=3) if pixels.ndim == 3 else pixels
        return cls(classes=tuple(classes), labels=np.asarray(labels, np.int64), pictures=colours)

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Return how many images each class has."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, map(int, numbers), strict=True))

    def digest(self) -> str:
        """Return what is equal for equal images in the same order with equal labels, whatever folder they are in.

        Files are told by their names, pixels by their values.
        """
        known = blake2b(self.labels.tobytes(), digest_size=8)
        for picture in self.pictures:
            known.update(picture.name.encode() + b"/" if isinstance(picture, Path) else picture.tobytes())
        return known.hexdigest()

    def chosen(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> "LabelledImages":
        """Return the images with these indices, in this order."""
        chosen = np.asarray(indices, np.int64)
        pictures = self.pictures
        picked = pictures[chosen] if isinstance(pictures, np.ndarray) else [pictures[index] for index in chosen]
        return replace(self, labels=self.labels[chosen], pictures=picked)

    def split(self, share: float, *, seed: int = 0) -> tuple["LabelledImages", "LabelledImages"]:
        """Hold a share of every class out; equal seeds hold the same images out.

        Args:
            share: of each class, in (0, 1); at least one of its images is held out, and one is not.
            seed: of the choice.

        Returns:
            The images that are left, and those held out, both in their order.

        Raises:
            ValueError: ``share`` is no such number, or a class has a single image.
        """
        if not 0 < share < 1:
            raise ValueError(f"share={share}, expected a number between 0 and 1, such as 0.2")
        if few := [name for name, count in self.counts().items() if count < 2]:
            raise ValueError(
                f"fewer than two images of {', '.join(few)}, expected one to train with and one to hold out; add images"
            )
        drawn, held_out = np.random.default_rng(seed), np.zeros(len(self), bool)
        for label in range(len(self.classes)):
            members = drawn.permutation(np.flatnonzero(self.labels == label))
            held_out[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
        return self.chosen(np.flatnonzero(~held_out)), self.chosen(np.flatnonzero(held_out))

    def picture(self, index: int, size: Size) -> Pixels:
        """Return an image resized to ``size``, (h, w, 3), whatever its sides were.

        Raises:
            ImageFileError: the file is damaged, or no photograph; the text does not name it.
        """
        picture = self.pictures[index]
        if isinstance(picture, Path):
            image, _ = load_photograph(picture, target=size)
            return resized_image(image, size)
        return picture if picture.shape[:2] == size else resized_image(Image.fromarray(picture), size)

    def in_memory(self, size: Size, *, progress: bool = False) -> "LabelledImages":
        """Return the images as pixels of one size, each file read once.

        Args:
            size: (h, w) that all are resized to.
            progress: show how far it is.

        Raises:
            ValueError: some files cannot be read; the text names them.
        """
        pixels = np.empty((len(self), *size, 3), np.uint8)
        for index, picture in self._read(size, progress=progress):
            pixels[index] = picture
        return replace(self, pictures=pixels)

    def check_files(self, size: Size, *, progress: bool = False) -> None:
        """Read every file once and keep nothing of it; arguments and errors are those of ``in_memory``."""
        if not isinstance(self.pictures, np.ndarray):
            for _ in self._read(size, progress=progress):
                pass

    def _read(self, size: Size, *, progress: bool) -> Iterator[tuple[int, Pixels]]:
        """Yield every image that can be read with its index, then raise for those that cannot."""
        problems = []
        with ShownProgress(len(self), "reading", unit="image", is_shown=progress, stays=False) as shown:
            for index in shown.over(range(len(self))):
                try:
                    yield index, self.picture(index, size)
                except ImageFileError as error:
                    problems.append(f"  {self.pictures[index]}: {error}")
        if problems:
            more = [f"  and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
            shown_problems = "\n".join([*problems[:_SHOWN], *more])
            raise ValueError(f"{how_many(len(problems), 'image')} cannot be read; replace or remove:\n{shown_problems}")

    def __iter__(self) -> Iterator[tuple[Path | Pixels, int]]:
        return ((picture, int(label)) for picture, label in zip(self.pictures, self.labels, strict=True))
