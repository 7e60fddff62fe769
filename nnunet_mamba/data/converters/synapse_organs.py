"""Numbers of organs in a source, and the consecutive ones that nnU-Net gets."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.nifti_files import VolumeError
from nnunet_mamba.data.formats.whole_numbers import UNDEFINED, near_whole_numbers, shown_number

# The first of each pair is several times as large as the second, in nearly everybody.
LARGER_AND_SMALLER = (("right_kidney", "gallbladder"), ("stomach", "pancreas"), ("spleen", "aorta"))


@dataclass(frozen=True)
class OrganNumbers:
    """Which organs are kept, and how the source numbers them.

    Args:
        kept: organs in the order of their numbers in nnU-Net, from 1.
        source: number in the source of every organ there; those not kept become background, which is 0.
    """

    kept: tuple[str, ...]
    source: Mapping[str, int]

    @property
    def labels(self) -> dict[str, int]:
        """The labels of dataset.json."""
        return {"background": 0, **{organ: number for number, organ in enumerate(self.kept, start=1)}}

    @property
    def source_labels(self) -> dict[str, int]:
        """The number in the source of every label of dataset.json, for the way back."""
        return {"background": 0, **{organ: self.source[organ] for organ in self.kept}}

    def renumbered(self, label: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return a label map with nnU-Net's numbers.

        Args:
            label: any shape, whole numbers that ``problems`` found nothing wrong with.
        """
        table = np.zeros(max(self.source.values()) + 1, dtype=np.uint8)
        for organ, number in self.labels.items():
            table[self.source_labels[organ]] = number
        return np.asarray(table[label])

    def voxels(self, counts: Mapping[int, int]) -> dict[str, int]:
        """Return how many voxels each kept organ has.

        Args:
            counts: of ``count_values``.
        """
        return {organ: counts.get(self.source[organ], 0) for organ in self.kept}

    def problems(self, counts: Mapping[int, int]) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the values of a label map, and advice, see ``Problem``.

        Args:
            counts: of ``count_values``.
        """
        known = {0, *self.source.values()}
        unknown = [f"{value} ({counts[value]} voxels)" for value in sorted(counts) if value not in known]
        if unknown:
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            text = f"label values {', '.join(unknown[:10])}{more}, expected 0 to {max(known)}"
            yield f"{text}; renumber them as the data set does", ""
        elif not any(self.voxels(counts).values()):
            yield f"none of the {len(self.kept)} organs is labelled", "leave the case out with `skip_invalid=True`"


def whole_numbers(label: npt.NDArray[Any]) -> npt.NDArray[np.integer[Any]]:
    """Return a label map as integers; a value near a whole number counts as that number.

    Args:
        label: any shape and type of number.

    Raises:
        VolumeError: values that are not whole numbers.
    """
    if label.dtype.kind != "f":
        return label
    label, _ = near_whole_numbers(label)
    with np.errstate(invalid="ignore"):
        is_whole = np.isfinite(label) & (label == np.rint(label)) & (np.abs(label) < 2**31)
    if not is_whole.all():
        others = label[~is_whole]
        way_out = (
            "it was interpolated or is an image, take the original label" if np.isfinite(others).all() else UNDEFINED
        )
        raise VolumeError(
            f"{others.size} label values such as {shown_number(others.flat[0])} are no whole numbers; {way_out}"
        )
    return label.astype(np.int32)


def count_values(label: npt.NDArray[Any]) -> Counter[int]:
    """Return how often each value occurs.

    Args:
        label: (z, y, x), whole numbers.
    """
    counts: Counter[int] = Counter()
    # By slices, which fit into the processor's cache: sorting a whole volume takes several times as long.
    for one in label:
        values, found = np.unique(one, return_counts=True)
        counts.update(dict(zip(values.tolist(), found.tolist(), strict=True)))
    return counts


def implausible_sizes(voxels: Iterable[Mapping[str, int]]) -> list[str]:
    """Return in words which organs have sizes that speak for another numbering.

    In the numberings in circulation the liver may have the same number, so it alone does not tell.

    Args:
        voxels: of each case, by organ.
    """
    total: Counter[str] = Counter()
    for one in voxels:
        total.update(one)
    found = []
    others = {organ: count for organ, count in total.items() if organ != "liver"}
    if "liver" in total and others and total["liver"] < max(others.values()):
        found.append(f"{max(others, key=others.__getitem__)} larger than liver")
    found += [
        f"{smaller} larger than {larger}"
        for larger, smaller in LARGER_AND_SMALLER
        if smaller in total and total[smaller] > total[larger]
    ]
    return [text.replace("_", " ") for text in found]
