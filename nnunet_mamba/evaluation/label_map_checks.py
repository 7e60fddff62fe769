"""Read a predicted label map and its reference, and check that one can be scored against the other.

nnU-Net counts whatever it is given.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.whole_numbers import shown_number
from nnunet_mamba.evaluation.label_map_reading import spacing_of
from nnunet_mamba.evaluation.label_pictures import NoLabelMapError

# A voxel that moves further lies in another one.
_MOST_VOXELS = 0.5
# Far more than headers round.
_SPACING_TOLERANCE = 1e-2


class ReadsLabelMaps(Protocol):
    """The part of nnU-Net's readers that is used here."""

    def read_seg(self, seg_fname: str) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return a label map, (1, *spatial), and what the file tells of its place."""


@dataclass(frozen=True, kw_only=True)
class LabelMapPair:
    """Two label maps that can be scored.

    Args:
        predicted: (1, *spatial), the smallest type of whole numbers that holds all values.
        reference: of the same shape and type.
        place: what the reference's file tells of its place.
    """

    predicted: npt.NDArray[Any]
    reference: npt.NDArray[Any]
    place: Mapping[str, Any]


def read_pair(
    prediction: Path, label: Path, reader: ReadsLabelMaps, values: Collection[int]
) -> tuple[LabelMapPair | None, list[str]]:
    """Read two label maps, and tell all that keeps them from being scored.

    Args:
        prediction: its file.
        label: the reference's file.
        reader: nnU-Net's for these files.
        values: that label maps may have.

    Returns:
        The pair, None where there is a problem, and the problems.
    """
    maps: list[tuple[npt.NDArray[Any], dict[str, Any]]] = []
    problems = []
    for kind, path in (("prediction", prediction), ("label", label)):
        try:
            voxels, properties = reader.read_seg(str(path))
        except NoLabelMapError as error:
            problems.append(f"the {kind} {error} ({path})")
            continue
        except (OSError, ValueError, RuntimeError, SyntaxError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            problems.append(f"the {kind} cannot be read ({reason}); write {path} again")
            continue
        maps.append((voxels, properties))
        if unknown := _unknown_values(voxels, values):
            known = ", ".join(map(str, values))
            problems.append(f"the {kind} has the values {unknown}, and dataset.json knows {known}; {_way_out(voxels)}")
    if len(maps) == 2:
        problems += _differences(*maps)
    if problems:
        return None, problems
    predicted, reference = (voxels.astype(np.min_scalar_type(max(values))) for voxels, _ in maps)
    return LabelMapPair(predicted=predicted, reference=reference, place=maps[1][1]), []


def _differences(
    prediction: tuple[npt.NDArray[Any], dict[str, Any]], label: tuple[npt.NDArray[Any], dict[str, Any]]
) -> list[str]:
    (predicted, its_place), (reference, wanted_place) = prediction, label
    if predicted.shape != reference.shape:
        return [
            f"prediction is {predicted.shape[1:]}, label is {reference.shape[1:]}; predict the image that the label "
            "belongs to"
        ]
    spacing, wanted_spacing = spacing_of(its_place), spacing_of(wanted_place)
    if spacing and wanted_spacing and not np.allclose(spacing, wanted_spacing, rtol=_SPACING_TOLERANCE):
        shown, wanted = (" × ".join(f"{step:.4g}" for step in steps) for steps in (spacing, wanted_spacing))
        return [
            f"the prediction has a spacing of {shown} mm, its label of {wanted} mm; write it with the spacing of the "
            "label"
        ]
    if (distance := _voxels_apart(its_place, wanted_place, predicted.shape[1:])) > _MOST_VOXELS:
        return [
            f"the prediction lies up to {distance:.3g} voxels away from its label, or is turned; write it with the "
            "place and orientation of the label"
        ]
    return []


def refuse_problems(problems: Sequence[tuple[str, str]]) -> None:
    """Raise if label maps cannot be scored.

    Args:
        problems: the name of a case's file, and what is wrong with it.

    Raises:
        ValueError: there is a problem; lists all.
    """
    if problems:
        listed = "\n  ".join(f"{name}: {problem}" for name, problem in problems)
        raise ValueError(f"label maps cannot be scored, problems: {len(problems)}\n  {listed}")


def _way_out(voxels: npt.NDArray[Any]) -> str:
    """Return what to do about values that are no labels."""
    values = np.unique(voxels)
    if not np.isfinite(values).all():
        return "NaN and infinity are no labels: write a label number at each position"
    if ((values > 0) & (values < 1)).any() and values.min() >= 0 and values.max() <= 1:
        return "these look like probabilities: score the label map that they belong to, not them"
    if set(values.tolist()) <= {0, 255}:
        return (
            "0 and 255 are black and white: divide by 255, or score masks in the values of their source with "
            "nnunet-mamba restore --check"
        )
    return "masks in the values of their source are scored by nnunet-mamba restore --check"


def _unknown_values(voxels: npt.NDArray[Any], values: Collection[int]) -> str:
    is_known = np.zeros(voxels.shape, bool)
    for value in values:
        is_known |= voxels == value
    unknown = np.unique(voxels[~is_known])
    return ", ".join(map(shown_number, unknown[:5])) + (", …" if len(unknown) > 5 else "")


def _voxels_apart(one: Mapping[str, Any], other: Mapping[str, Any], shape: Sequence[int]) -> float:
    """Return the largest distance between the same voxels of two files; 0 where the files do not tell a place."""
    first, second = _affine(one), _affine(other)
    if first is None or second is None or first.shape != second.shape or len(first) != len(shape) + 1:
        return 0.0
    # Affines count the axes from the other end.
    corners = np.array(list(product(*((0, size - 1) for size in reversed(shape)))))
    moved = corners @ (first - second)[:-1, :-1].T + (first - second)[:-1, -1]
    smallest = np.linalg.norm(second[:-1, :-1], axis=0).min()
    return float(np.linalg.norm(moved, axis=1).max() / smallest)


def _affine(properties: Mapping[str, Any]) -> npt.NDArray[np.float64] | None:
    """Return where a file's voxels lie, from the header as nnU-Net's readers tell it; None for pictures."""
    if "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        return np.asarray(stuff.get("reoriented_affine", stuff["original_affine"]), np.float64)
    if "sitk_stuff" not in properties:
        return None
    stuff = properties["sitk_stuff"]
    dims = len(stuff["spacing"])
    affine = np.eye(dims + 1)
    affine[:-1, :-1] = np.reshape(stuff["direction"], (dims, dims)) * stuff["spacing"]
    affine[:-1, -1] = stuff["origin"]
    return affine
