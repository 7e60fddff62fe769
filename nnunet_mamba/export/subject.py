"""What is exported: trained networks, what is done to their images first, and what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from torch import nn

from nnunet_mamba.models.bundles.model_json import description_to_json
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.model import Model
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.onnx_models.agreement import Tolerance
from nnunet_mamba.onnx_models.session import IMAGE, LOGITS, PROBABILITIES
from nnunet_mamba.onnx_models.sidecar import FORMAT
from nnunet_mamba.prediction.networks import trained_networks
from nnunet_mamba.prediction.plan import PredictionPlan, read_prediction_plan

# Schemes that look at one pixel only, so that they are the same for a part of an image.
_PIXEL_BY_PIXEL = ("CTNormalization", "NoNormalization", "RGBTo01Normalization")
_OF_WHOLE_IMAGES = ("ZScoreNormalization", "RescaleTo01Normalization")


@dataclass(frozen=True, kw_only=True)
class ExportSubject:
    """Networks to export as one file.

    Args:
        networks: one for each fold, whose logits are averaged; in evaluation mode, on the CPU.
        plan: what nnU-Net does with their images.
        normalises: whether the file normalises images itself.
        sees_whole_images: and not windows of them.
        size: (y, x), or (z, y, x), of the images that it is made for.
        facts: what is known of the model, JSON values.
    """

    networks: tuple[SegmentationNetwork, ...]
    plan: PredictionPlan
    normalises: bool
    sees_whole_images: bool
    size: tuple[int, ...]
    facts: Mapping[str, Any]

    @property
    def cuts_margin(self) -> bool:
        """Whether the file itself leaves out a margin that is 0 in all channels."""
        return self.normalises and self.sees_whole_images

    @property
    def has_fixed_size(self) -> bool:
        """Whether the file takes images of ``size`` alone."""
        return fixed_size(self.networks[0], self.size) is not None

    @property
    def n_parameters(self) -> int:
        """Parameters of one network."""
        return sum(parameter.numel() for parameter in self.networks[0].parameters())

    @property
    def tolerance(self) -> Tolerance:
        """What rounding explains in networks of this size."""
        return Tolerance.of_network(self.n_parameters)

    @property
    def has_regions(self) -> bool:
        """Whether every head is a region."""
        return bool(self.plan.heads.region_values)


def fixed_size(network: SegmentationNetwork, size: Sequence[int]) -> tuple[int, ...] | None:
    """Return the only size of images that a file of the network takes; None for one of any size.

    A network whose weights are tied to a size has no other, and one that pads images of ``size`` has them padded inside
    the file, by numbers of positions that cannot stay open. Some can be traced for one size alone.

    Args:
        network: that is exported.
        size: of the images that its file is made for, one number for each axis.
    """
    tied: tuple[int, ...] | None = getattr(network, "input_size", None)
    if tied is not None:
        return tied
    is_padded = any(side % multiple for side, multiple in zip(size, network.size_multiple, strict=True))
    return tuple(size) if is_padded or not network.traces_any_size else None


def subject_of(model: Model) -> ExportSubject:
    """Return what is exported of a model.

    Args:
        model: with the folds that are wanted.

    Raises:
        ValueError: only nnU-Net can build its network; or its weights are damaged.
        ModuleNotFoundError: its network needs an optional package that is not installed.
    """
    description = model.description
    if description.network is None:
        raise ValueError(
            f"{model.place} was trained by {description.trainer}, which is no trainer of nnunet-mamba; only networks "
            "of nnunet-mamba list can be exported"
        )
    plan = read_prediction_plan(
        description.plans, description.configuration, description.dataset_json, where=description.name
    )
    networks = trained_networks(model)
    return _subject(networks, plan, description)


def _subject(networks: list[nn.Module], plan: PredictionPlan, description: ModelDescription) -> ExportSubject:
    ours = tuple(network for network in networks if isinstance(network, SegmentationNetwork))
    size = _size_of_whole_images(plan, description)
    normalises = _normalises(plan, sees_whole_images=size is not None)
    return ExportSubject(
        networks=ours,
        plan=plan,
        normalises=normalises,
        sees_whole_images=size is not None,
        size=plan.patch_size if size is None else size,
        facts=_facts(plan, description, network=ours[0], normalises=normalises, size=size),
    )


def _size_of_whole_images(plan: PredictionPlan, description: ModelDescription) -> tuple[int, int] | None:
    """Return the size of images that fill the network's window exactly; None for images of which it sees parts."""
    size = None if description.conversion is None else description.conversion.size
    if size is None or tuple(size) != plan.patch_size:
        return None
    return int(size[0]), int(size[1])


def _normalises(plan: PredictionPlan, *, sees_whole_images: bool) -> bool:
    if not plan.is_2d:
        # nnU-Net normalises volumes before it resamples them.
        return False
    possible = (*_PIXEL_BY_PIXEL, *_OF_WHOLE_IMAGES) if sees_whole_images else _PIXEL_BY_PIXEL
    return all(one.scheme in possible and not one.uses_mask for one in plan.normalizations)


def _facts(
    plan: PredictionPlan,
    description: ModelDescription,
    *,
    network: SegmentationNetwork,
    normalises: bool,
    size: tuple[int, int] | None,
) -> dict[str, Any]:
    heads, only_size = plan.heads, fixed_size(network, plan.patch_size if size is None else size)
    assert description.network is not None
    values = "as in the file, 0 to 255 for photographs" if normalises else "normalised, see normalization"
    names = description.dataset_json.get("channel_names", description.dataset_json.get("modality"))
    return {
        "format": FORMAT,
        "name": description.name,
        "network": description.network.preset,
        "folds": list(description.fold_names),
        "input": {
            "name": IMAGE,
            "layout": ["b", "c", "h", "w"] if plan.is_2d else ["b", "c", "d", "h", "w"],
            "dtype": "float32",
            "channels": names,
            "values": values,
            "multiple_of": list(only_size or network.size_multiple),
            "only_size": None if only_size is None else list(only_size),
        },
        "outputs": {
            "names": [LOGITS, PROBABILITIES],
            "heads": heads.n_heads,
            "has_regions": bool(heads.region_values),
            "region_values": list(heads.region_values),
            "probabilities": "sigmoid of each head" if heads.region_values else "softmax over the heads",
        },
        "labels": description.dataset_json["labels"],
        "normalization": {
            "is_inside": normalises,
            "cuts_margin": normalises and size is not None,
            "channels": [
                {"scheme": one.scheme, "uses_mask": one.uses_mask, "intensities": _needed_intensities(one.intensities)}
                for one in plan.normalizations
            ],
        },
        "size": None if size is None else list(size),
        "tiling": None if size is not None else {"window": list(plan.patch_size), "step": 0.5, "weights": "gaussian"},
        "mirror_axes": list(description.mirror_axes),
        "postprocessing": list(description.postprocessing),
        "not_inside": _not_inside(plan, description, normalises=normalises, size=size),
        "model": description_to_json(description),
        "licences": description_to_json(description)["licences"],
        "versions": {name: version(name) for name in ("nnunet-mamba", "torch")},
    }


def _needed_intensities(intensities: Mapping[str, float]) -> dict[str, float]:
    return {
        name: intensities[name] for name in ("mean", "std", "percentile_00_5", "percentile_99_5") if name in intensities
    }


def _not_inside(
    plan: PredictionPlan, description: ModelDescription, *, normalises: bool, size: tuple[int, int] | None
) -> list[str]:
    """Return what a program that uses the file has to do itself, in sentences."""
    steps = []
    if size is not None:
        steps.append(f"Resize images to {size[0]}×{size[1]} (y, x) with antialiasing, and masks back.")
    else:
        steps.append("Predict images of other sizes in overlapping windows, as nnU-Net does.")
    if not plan.is_2d:
        spacing = " × ".join(f"{step:g}" for step in plan.spacing)
        order = "" if plan.transpose_forward == (0, 1, 2) else f", and axes in the order {plan.transpose_forward}"
        steps.append(f"Resample volumes to voxels of {spacing} mm{order}, after they are normalised, and logits back.")
    if normalises and size is not None:
        steps.append(
            "A margin that is 0 in all channels is cut off inside, as nnU-Net does; but what lies one pixel beyond the "
            "middle stays there, as in the mirrored copies of a window."
        )
    else:
        steps.append("Cut off a margin that is 0 in all channels before, as nnU-Net does; photographs have none.")
    if not normalises:
        steps.append("Normalise the whole image, not its parts.")
    if description.mirror_axes:
        steps.append("For all of nnU-Net's accuracy, average the logits over copies mirrored along mirror_axes.")
    if description.postprocessing:
        steps.append("Do to the label map what postprocessing says.")
    return steps
