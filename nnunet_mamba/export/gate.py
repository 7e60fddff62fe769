"""The gate: an export leaves it only if it computes what its networks compute."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from nnunet_mamba.export.content import OUTSIDE
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.export.trial_images import MARGINS, blacken, like_photographs, random_images
from nnunet_mamba.onnx_models.agreement import Agreement, FloatArray, Tolerance, agreement, probabilities_of, worst_of
from nnunet_mamba.onnx_models.check_images import CheckImages
from nnunet_mamba.prediction.preprocessing import prepare

OutputsOf: TypeAlias = Callable[[Sequence[FloatArray]], Iterable[tuple[FloatArray, FloatArray]]]
# Where the content of an image lies in it, and in what the network is shown: rows and columns.
WayBack: TypeAlias = tuple[tuple[slice, slice], tuple[slice, slice]]

WAY_OUT = "nothing was written; please report it with what nnunet-mamba doctor prints"
# Pixels of photographs are brought near 0 and 1 by these where images are normalised already.
_SUBTRACT, _DIVIDE = 128.0, 64.0
# Of the network's own rounding error, and of the labels that it changes, where that is more: onnxruntime adds in
# another order.
_OWN_ROUNDINGS = 3
# A batch's logits beside the file, at most: 16 KiB.
_MOST_LOGITS = 4096
# Pixels of a check image along an axis, before it is enlarged, where the size allows.
_SMALL_SIDE, _SMALL_SIDE_OF_VOLUMES = 48, 16


class UnequalExportError(ValueError):
    """An exported model does not compute what its network computes."""


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What the gate found.

    Args:
        worst: the agreement of the batches that agree least.
        allowed: the most that was let through.
        n_batches: that were compared.
        check_images: with the network's own logits, to compare with later.
    """

    worst: Agreement
    allowed: Tolerance
    n_batches: int
    check_images: tuple[CheckImages, ...]

    def to_json(self) -> dict[str, float]:
        """Return what was found, as JSON values."""
        return {
            **self.allowed.to_json(),
            "largest_logit_error": self.worst.error,
            "largest_logit": self.worst.largest,
            "equal_labels": self.worst.equal_labels,
            "batches": self.n_batches,
        }


def passed(subject: ExportSubject, outputs_of: OutputsOf) -> GateResult:
    """Compare an export with its networks.

    Args:
        subject: that was exported.
        outputs_of: returns logits and probabilities of the export for each of some batches of images, (b, c, h, w).

    Raises:
        UnequalExportError: it fails, or computes something else.
    """
    try:
        batches = [*gate_batches(subject)]
        found = [
            _compared(subject, images, *outputs) for images, outputs in zip(batches, outputs_of(batches), strict=True)
        ]
        kept = tuple(_check_images(subject))
    except ValueError as error:
        if isinstance(error, UnequalExportError):
            raise
        raise UnequalExportError(f"{error}; {WAY_OUT}") from error
    return GateResult(
        worst=worst_of([one for one, _ in found]),
        allowed=reduce(Tolerance.or_more, [allowed for _, allowed in found]),
        n_batches=len(found),
        check_images=kept,
    )


def _other_size(subject: ExportSubject) -> tuple[int, ...]:
    """Return a smaller size of another shape, or the only one."""
    if subject.has_fixed_size:
        return subject.size
    multiples = subject.networks[0].size_multiple
    shares = (*(1 / 2 for _ in subject.size[1:]), 3 / 4)
    # Twice the multiple at least: the deepest map would be a single pixel, which instance norms refuse.
    other = tuple(
        max(2, int(share * size / multiple)) * multiple
        for size, multiple, share in zip(subject.size, multiples, shares, strict=True)
    )
    return other if other != subject.size else (*other[:-1], other[-1] + multiples[-1])


def gate_batches(subject: ExportSubject) -> Iterator[FloatArray]:
    """Yield batches of 1 and of 5 images of two sizes: values from 1 to 255, some in black margins.

    Args:
        subject: that is exported.

    Yields:
        (b, c, *spatial), as the exported file takes them.
    """
    c = subject.networks[0].input_channels
    for seed, size in enumerate((subject.size, _other_size(subject))):
        yield _as_taken(subject, like_photographs((1, c, *size), seed))
        photographs, noise = like_photographs((3, c, *size), seed + 10), random_images((2, c, *size), seed)
        images = np.concatenate([photographs, noise])
        if subject.cuts_margin:
            for image, margins in zip(images, MARGINS, strict=False):
                blacken(image, margins)
        yield _as_taken(subject, images)


def _as_taken(subject: ExportSubject, pixels: npt.NDArray[np.uint8]) -> FloatArray:
    images = pixels.astype(np.float32)
    return images if subject.normalises else (images - np.float32(_SUBTRACT)) / np.float32(_DIVIDE)


def _compared(
    subject: ExportSubject, images: FloatArray, logits: FloatArray, probabilities: FloatArray
) -> tuple[Agreement, Tolerance]:
    """Return how an export agrees with its networks on images, and what was allowed."""
    expected = logits_of(subject, images)
    found, allowed = agreement(logits, expected, has_regions=subject.has_regions), subject.tolerance
    if not found.is_within(allowed):
        # Deep networks with new weights may multiply the rounding of one operator by thousands, in torch as here.
        own = _own_rounding(subject, images, expected)
        allowed = allowed.or_more(Tolerance.of_rounding(own, _OWN_ROUNDINGS))
    if not found.is_within(allowed):
        raise UnequalExportError(
            f"with images {images.shape} {found.in_words()}, expected {allowed.in_words()}; {WAY_OUT}"
        )
    difference = float(np.abs(probabilities - probabilities_of(expected, has_regions=subject.has_regions)).max())
    if not difference <= allowed.error * max(1.0, found.largest):
        raise UnequalExportError(f"the probabilities differ by {difference:.2g}; {WAY_OUT}")
    return found, allowed


def _own_rounding(subject: ExportSubject, images: FloatArray, logits: FloatArray) -> Agreement:
    """Return how the networks' logits agree with those of double precision."""
    networks = tuple(copy.deepcopy(network).double() for network in subject.networks)
    exact = logits_of(replace(subject, networks=networks), images, dtype=torch.float64)
    return agreement(logits, exact, has_regions=subject.has_regions)


def logits_of(subject: ExportSubject, images: FloatArray, *, dtype: torch.dtype = torch.float32) -> FloatArray:
    """Return the logits that nnU-Net's preprocessing and the networks themselves give for images.

    Args:
        subject: that is exported.
        images: (b, c, *spatial), as the exported file takes them.
        dtype: of the networks' weights.
    """
    ways_back: list[WayBack] = []
    if subject.normalises:
        prepared = [_prepared(subject, image) for image in images]
        images, ways_back = np.concatenate([data for data, _ in prepared]), [way for _, way in prepared]
    x = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(dtype)
    with torch.inference_mode():
        logits = torch.stack([_output(network(x)) for network in subject.networks]).mean(dim=0).numpy()
    if not subject.cuts_margin:
        return logits
    back = np.full_like(logits, -OUTSIDE)
    if not subject.has_regions:
        back[:, 0] = 0
    for whole, found, (box, inside) in zip(back, logits, ways_back, strict=True):
        whole[:, box[0], box[1]] = found[:, inside[0], inside[1]]
    return back


def _prepared(subject: ExportSubject, image: FloatArray) -> tuple[FloatArray, WayBack]:
    """Return what nnU-Net makes of an image (c, h, w): (1, c, h, w), and where it was and is."""
    spacing = (subject.plan.spacing[0], *subject.plan.spacing)
    prepared = prepare(image[:, None], spacing, subject.plan)
    assert prepared is not None
    data = np.ascontiguousarray(prepared.data.swapaxes(0, 1))
    _, rows, columns = prepared.box
    if not subject.cuts_margin:
        return data, ((rows, columns), (rows, columns))
    inside = _middle(data.shape[2], image.shape[1]), _middle(data.shape[3], image.shape[2])
    window = np.zeros((1, *image.shape), np.float32)
    window[:, :, inside[0], inside[1]] = data
    return window, ((rows, columns), inside)


def _middle(size: int, whole: int) -> slice:
    """Return where nnU-Net shows places along an axis in a window."""
    before = (whole - size) // 2
    return slice(before, before + size)


def _output(logits: Any) -> torch.Tensor:
    assert isinstance(logits, torch.Tensor)
    return logits


def _check_images(subject: ExportSubject) -> Iterator[CheckImages]:
    """Yield the batches that go beside the file: a photograph, and two random images of another size."""
    c = subject.networks[0].input_channels
    for b, size, draw in ((1, subject.size, like_photographs), (2, _other_size(subject), random_images)):
        factor = _enlargement(size)
        images = CheckImages(
            pixels=draw((b, c, *(length // factor for length in size)), 100),
            enlarged_by=factor,
            subtract=0.0 if subject.normalises else _SUBTRACT,
            divide=1.0 if subject.normalises else _DIVIDE,
            every=1,
            logits=np.empty(0, np.float32),
        )
        if subject.cuts_margin:
            blacken(images.pixels[-1], MARGINS[-1])
        logits = logits_of(subject, images.images())
        tries = (replace(images, every=every) for every in range(1, max(size) + 1))
        kept = next(one for one in tries if one.kept(logits).size <= _MOST_LOGITS)
        yield replace(kept, logits=kept.kept(logits))


def _enlargement(size: tuple[int, ...]) -> int:
    """Return a factor that leaves few pixels of a size."""
    factors = [n for n in range(1, min(size) + 1) if all(length % n == 0 for length in size)]
    small = _SMALL_SIDE if len(size) == 2 else _SMALL_SIDE_OF_VOLUMES
    return max((n for n in factors if max(size) // n >= small), default=1)
