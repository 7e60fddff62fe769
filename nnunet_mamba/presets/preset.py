"""What a preset is: one published network as data, with what was counted for each of its sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Variants = Mapping[str, Mapping[str, Any]]

# What nnU-Net's plans say about the stages of a U-Net.
STAGES = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "n_conv_per_stage_decoder")


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of a network, for images or for volumes, and what was counted for it.

    Args:
        arguments: the class's keyword arguments that make the network.
        reference_input: input channels and classes that the counts are for.
        image_size: pixels or voxels per axis that the counts are for.
        n_parameters: trainable parameters; a test builds the network and compares.
        giga_macs: 10⁹ multiply-adds by the papers' convention (``networks.complexity``), to five digits; a test counts
            them again.
        giga_flops: 10⁹ floating-point operations with the scan, 2 per multiply-add, to five digits; a test counts
            them again.
    """

    arguments: Mapping[str, Any]
    reference_input: tuple[int, int]
    image_size: tuple[int, ...]
    n_parameters: int
    giga_macs: float
    giga_flops: float

    @property
    def spatial_dims(self) -> int:
        """Number of image axes."""
        return len(self.image_size)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One published network.

    Args:
        name: what ``create_network`` calls it.
        title: what its paper calls it.
        trainer: what ``nnUNetv2_train -tr`` calls it.
        network: the module class as "package.module:Class", imported only when a network is built.
        source: paper and reference code that the numbers are taken from.
        sizes: one for images or for volumes, or one for each, images first.
        from_plans: keyword arguments that nnU-Net's plans decide in a training.
        from_plans_in_3d: further ones, which the plans decide for volumes only.
        deep_supervision: whether the trainer always gives it a head at every resolution; any other network whose
            class takes ``deep_supervision`` has these heads if it is created with ``deep_supervision=True``.
        requires: optional packages that the network needs, as Python imports them.
        extra: of nnunet-mamba, the extra that installs them.
        other_trainers: further ones of this network, which differ in how they train.
        variants: networks of its papers' ablations, by the name that follows a trainer's: the keyword arguments that
            replace those of every size, none of which the plans decide.
        training_variants: of ``other_trainers``, by trainer and by the name that follows it: the settings of the
            trainer that the variant replaces.
        weights_known_by: a regular expression for a part of the names that only published weights of this network, or
            of a classification network that it begins with, have; "" where none are published.
    """

    name: str
    title: str
    trainer: str
    network: str
    source: str
    sizes: tuple[Size, ...]
    from_plans: tuple[str, ...] = ()
    from_plans_in_3d: tuple[str, ...] = ()
    deep_supervision: bool = False
    requires: tuple[str, ...] = ()
    extra: str = ""
    other_trainers: tuple[str, ...] = ()
    variants: Variants = field(default_factory=lambda: NO_VARIANTS)
    training_variants: Mapping[str, Variants] = field(default_factory=lambda: MappingProxyType({}))
    weights_known_by: str = ""

    @property
    def spatial_dims(self) -> tuple[int, ...]:
        """Numbers of image axes that the network takes."""
        return tuple(size.spatial_dims for size in self.sizes)

    @property
    def has_stages_of_plans(self) -> bool:
        """Whether the network takes all of its stages from the plans, so that what it pads to follows the patch."""
        return "strides" in self.from_plans

    def planned(self, spatial_dims: int) -> tuple[str, ...]:
        """Return the keyword arguments that the plans decide for images with this number of axes."""
        return (*self.from_plans, *(self.from_plans_in_3d if spatial_dims == 3 else ()))

    def size(self, spatial_dims: int) -> Size:
        """Return the size with this number of axes, one of ``spatial_dims``."""
        return next(size for size in self.sizes if size.spatial_dims == spatial_dims)

    def overrides(self, variant: str | None) -> Mapping[str, Any]:
        """Return the keyword arguments that a variant replaces: none for one that trains otherwise, or without one."""
        return {} if variant is None else self.variants.get(variant, {})


def variants(**by_name: Mapping[str, Any]) -> Variants:
    """Return variants by their names, which nobody can change."""
    return MappingProxyType({name: MappingProxyType(dict(values)) for name, values in by_name.items()})


NO_VARIANTS: Variants = variants()


def counted(reference_input: tuple[int, int], image_size: tuple[int, ...]) -> Callable[..., Size]:
    """Return a function that makes sizes which were all counted for the same channels, classes and image.

    It takes the parameters, GMACs and GFLOPs, and then the network's keyword arguments.
    """

    def size(n_parameters: int, giga_macs: float, giga_flops: float, **arguments: Any) -> Size:
        return Size(
            arguments=MappingProxyType(arguments),
            reference_input=reference_input,
            image_size=image_size,
            n_parameters=n_parameters,
            giga_macs=giga_macs,
            giga_flops=giga_flops,
        )

    return size


photograph = counted((3, 1), (256, 256))
volume = counted((1, 14), (64, 128, 128))
