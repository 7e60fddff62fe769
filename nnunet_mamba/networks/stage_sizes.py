"""The sizes of a U-Net's stages, as dynamic-network-architectures takes them: checked, one value per stage and axis.

A stage is a level of resolution of the encoder, the highest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from nnunet_mamba.blocks.arguments import is_text, is_whole

Value = TypeVar("Value")
PerStage = int | Sequence[int]
PerStageAndAxis = int | Sequence[int | Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class StageSizes:
    """The sizes of n stages.

    Args:
        features: channels, n of them.
        kernel_sizes: n times one number per axis.
        strides: n times one number per axis; the first are 1.
        n_blocks: residual blocks in the encoder, n numbers.
        n_blocks_decoder: residual blocks in the decoder, n - 1 numbers, the lowest resolution first.
    """

    features: tuple[int, ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    n_blocks: tuple[int, ...]
    n_blocks_decoder: tuple[int, ...]

    @property
    def spatial_dims(self) -> int:
        """Axes of the images, 2 or 3."""
        return len(self.kernel_sizes[0])

    @property
    def reductions(self) -> tuple[tuple[int, ...], ...]:
        """By how much each stage is smaller than the image: n times one number per axis."""
        products = accumulate(
            self.strides, lambda total, stride: tuple(a * b for a, b in zip(total, stride, strict=True))
        )
        return tuple(products)


def resolve_stage_sizes(
    owner: str,
    features_per_stage: Sequence[int],
    *,
    kernel_sizes: PerStageAndAxis,
    strides: PerStageAndAxis | None,
    n_conv_per_stage: PerStage,
    n_conv_per_stage_decoder: PerStage,
    spatial_dims: int | None,
) -> StageSizes:
    """Check the arguments and repeat single numbers for all stages and axes.

    Args:
        owner: what the errors call the network.
        features_per_stage: channels; its length is the number of stages, two or more.
        kernel_sizes: odd; their axes make the network 2D or 3D.
        strides: the first stage's are 1; None is 1 for the first stage and 2 for the others.
        n_conv_per_stage: residual blocks per stage of the encoder.
        n_conv_per_stage_decoder: residual blocks per stage of the decoder, the lowest resolution first.
        spatial_dims: 2 or 3; None is what the kernel sizes say, or 2 if they name no axes.

    Raises:
        ValueError: a value or a length does not fit; the text says which and what would.
    """
    if not isinstance(features_per_stage, Sequence) or is_text(features_per_stage) or len(features_per_stage) < 2:
        raise ValueError(
            f"{owner}: features_per_stage={features_per_stage!r}, expected two channel numbers or more; pass one per "
            f"stage, their count is the number of stages"
        )
    n_stages = len(features_per_stage)
    features = _per_stage(owner, "features_per_stage", features_per_stage, n_stages=n_stages)
    if strides is None:
        strides = (1, *(2 for _ in features[1:]))
    dims = _spatial_dims(owner, kernel_sizes, spatial_dims)
    sizes = StageSizes(
        features=features,
        kernel_sizes=_per_stage_and_axis(owner, "kernel_sizes", kernel_sizes, n_stages=n_stages, dims=dims),
        strides=_per_stage_and_axis(owner, "strides", strides, n_stages=n_stages, dims=dims),
        n_blocks=_per_stage(owner, "n_conv_per_stage", n_conv_per_stage, n_stages=n_stages),
        n_blocks_decoder=_per_stage(owner, "n_conv_per_stage_decoder", n_conv_per_stage_decoder, n_stages=n_stages - 1),
    )
    for stage, kernel_size in enumerate(sizes.kernel_sizes):
        if any(size % 2 == 0 for size in kernel_size):
            raise ValueError(
                f"{owner}: kernel_sizes[{stage}]={kernel_size}, expected odd numbers, which keep the map's size; "
                f"pass {tuple(size // 2 * 2 + 1 for size in kernel_size)}"
            )
    if set(sizes.strides[0]) != {1}:
        raise ValueError(
            f"{owner}: strides[0]={sizes.strides[0]}, expected 1 on every axis, or the logits would be smaller than "
            f"the image; put a stage of stride 1 in front"
        )
    return sizes


def _spatial_dims(owner: str, kernel_sizes: PerStageAndAxis, spatial_dims: int | None) -> int:
    entries = kernel_sizes if isinstance(kernel_sizes, Sequence) else ()
    named = (len(entry) for entry in entries if isinstance(entry, Sequence) and not is_text(entry))
    dims = next(named, 2) if spatial_dims is None else spatial_dims
    if dims not in (2, 3):
        origin = f"kernel_sizes={kernel_sizes}" if spatial_dims is None else f"spatial_dims={spatial_dims}"
        raise ValueError(f"{owner}: {origin} makes a network of {dims} axes, expected 2 or 3; pass spatial_dims=2 or 3")
    return dims


def _per_stage_and_axis(
    owner: str, name: str, values: PerStageAndAxis, *, n_stages: int, dims: int
) -> tuple[tuple[int, ...], ...]:
    resolved = []
    for stage, entry in enumerate(_repeated(owner, name, values, n_stages=n_stages)):
        numbers = entry if isinstance(entry, Sequence) and not is_text(entry) else (entry,) * dims
        if len(numbers) != dims:
            raise ValueError(
                f"{owner}: {name}[{stage}]={entry} names {len(numbers)} axes, expected {dims} in a {dims}D network; "
                f"pass one number per axis, or another spatial_dims"
            )
        resolved.append(tuple(_whole(owner, f"{name}[{stage}]", number) for number in numbers))
    return tuple(resolved)


def _per_stage(owner: str, name: str, values: PerStage, *, n_stages: int) -> tuple[int, ...]:
    entries = _repeated(owner, name, values, n_stages=n_stages)
    return tuple(_whole(owner, f"{name}[{stage}]", number) for stage, number in enumerate(entries))


def _repeated(owner: str, name: str, values: int | Sequence[Value], *, n_stages: int) -> Sequence[int | Value]:
    if not isinstance(values, Sequence) or is_text(values):
        single: Any = values
        return [single] * n_stages
    if len(values) != n_stages:
        raise ValueError(
            f"{owner}: {name} has {len(values)} entries, features_per_stage asks for {n_stages}; pass that many, or "
            f"one number for all"
        )
    return values


def _whole(owner: str, place: str, number: Any) -> int:
    # Plans that went through JSON may have 3.0.
    is_number = is_whole(number) or isinstance(number, float)
    if not is_number or not 1 <= number < float("inf") or number != int(number):
        raise ValueError(f"{owner}: {place}={number!r}, expected a whole number of at least 1; pass one")
    return int(number)
