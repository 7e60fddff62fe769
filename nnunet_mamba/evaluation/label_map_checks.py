"""Check that two folders of label maps can be scored against each other: nnU-Net counts whatever it is given."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.whole_numbers import shown_number
from nnunet_mamba.evaluation.label_pictures import NoLabelMapError
from nnunet_mamba.system.progress import ShownProgress

# A voxel that moves further lies in another one.
_MOST_VOXELS = 0.5


class ReadsLabelMaps(Protocol):
    """The part of nnU-Net's readers that is used here."""

    def read_seg(self, seg_fname: str) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return a label map, (1, *spatial), and what the file tells of its place."""


def check_label_maps(
    predictions: Path,
    labels: Path,
    names: Sequence[str],
    reader: ReadsLabelMaps,
    values: Collection[int],
    *,
    progress: bool = False,
) -> None:
    """Read all label maps and raise if some cannot be scored.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of reference label maps.
        names: of the files, which both folders hold.
        reader: nnU-Net's for these files.
        values: that label maps may have.
        progress: show it on standard error.

    Raises:
        ValueError: some are damaged, have other values, another shape than their label, or lie elsewhere; lists all.
    """
    with ShownProgress(len(names), "checking", is_shown=progress) as shown:
        problems = [
            f"{name}: {problem}"
            for name in shown.over(names)
            for problem in _problems(predictions / name, labels / name, reader, values)
        ]
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(f"label maps cannot be scored, problems: {len(problems)}\n  {listed}")


def _problems(prediction: Path, label: Path, reader: ReadsLabelMaps, values: Collection[int]) -> list[str]:
    maps, problems = [], []
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
        maps.append((voxels[0], properties))
        if unknown := _unknown_values(voxels, values):
            known = ", ".join(map(str, values))
            problems.append(f"the {kind} has the values {unknown}, and dataset.json knows {known}; {_way_out(voxels)}")
    if len(maps) < 2:
        return problems
    (predicted, its_place), (reference, wanted_place) = maps
    if predicted.shape != reference.shape:
        problems.append(
            f"prediction is {predicted.shape}, label is {reference.shape}; predict the image that the label belongs to"
        )
    elif (distance := _voxels_apart(its_place, wanted_place, predicted.shape)) > _MOST_VOXELS:
        problems.append(
            f"the prediction lies up to {distance:.3g} voxels away from its label, or is turned; write it with the "
            "place and orientation of the label"
        )
    return problems


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
