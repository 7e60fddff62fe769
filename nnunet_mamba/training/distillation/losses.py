"""What a teacher adds to the loss of a student, from the logits that both give for the same images.

L = λh L_hard + λs L_soft + λa L_attention + λg L_gradient; L_hard is nnU-Net's own loss. An ablation of the paper has
the conventional L_kl of Hinton et al. in the place of the three terms behind L_hard.

Source:
    Fan et al. 2025, UltraLBM-UNet, section 3.6, equations 12 to 17, for one sigmoid output. Their reading for several
    regions or labels is ours, and so is the mean over pixels in L_gradient, where the paper prints a squared norm:
    no term depends on the size of the patches.
    Hinton et al. 2015, arXiv:1503.02531, section 2, for L_kl.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.training.distillation.settings import DistillationSettings

# Sobel's operator, scaled so that a ramp of slope 1 has gradient 1 in 2D and in 3D.
_SMOOTHING = (0.25, 0.5, 0.25)
_DIFFERENCE = (-0.5, 0.0, 0.5)


def teacher_terms(
    student: Tensor, teacher: Tensor, settings: DistillationSettings, *, has_regions: bool
) -> dict[str, Tensor]:
    """Return the terms that compare the student with the teacher, without those of weight 0.

    Everything is computed in fp32, also for logits of another precision and under autocast.

    Args:
        student: logits, (b, c, *spatial).
        teacher: logits of the same shape.
        settings: which terms, and their temperatures.
        has_regions: whether each channel is a region with a sigmoid; otherwise all are labels under one softmax.

    Returns:
        Term by name, not yet weighted.
    """
    student, teacher = student.float(), teacher.float()
    terms = {}
    if settings.soft:
        terms["soft"] = soft_loss(student, teacher, has_regions=has_regions)
    if settings.kl:
        terms["kl"] = kl_loss(student, teacher, temperature=settings.kl_temperature, has_regions=has_regions)
    student_maps, teacher_maps = (prediction_maps(logits, has_regions=has_regions) for logits in (student, teacher))
    if settings.attention:
        terms["attention"] = attention_loss(student_maps, teacher_maps, temperature=settings.temperature)
    if settings.gradient:
        terms["gradient"] = gradient_loss(student_maps, teacher_maps)
    return terms


def soft_loss(student: Tensor, teacher: Tensor, *, has_regions: bool) -> Tensor:
    """Return the mean over pixels of KL(teacher ‖ student), between the probabilities at a pixel.

    With regions, KL = T log(T / S) + (1 - T) log((1 - T) / (1 - S)) for each of them, and the mean is over regions
    too. With labels, KL = sum over labels of T log(T / S); for background and one label both are the same. It is
    computed from the logits: no logarithm of a probability that rounds to 0.

    Args:
        student: logits, (b, c, *spatial).
        teacher: logits of the same shape.
        has_regions: as in ``teacher_terms``.
    """
    divergence = functional.kl_div(
        _log_probabilities(student, has_regions=has_regions),
        _log_probabilities(teacher, has_regions=has_regions),
        reduction="none",
        log_target=True,
    )
    return divergence.sum(dim=1).mean()


def kl_loss(student: Tensor, teacher: Tensor, *, temperature: float, has_regions: bool) -> Tensor:
    """Return T² times the mean over pixels of KL(teacher ‖ student), with all logits over the temperature T.

    This is the conventional distillation, whose T² keeps the gradients as long as they are at a temperature of 1. The
    paper names it in Table 7 as "KL-Distill" and prints neither its formula nor its temperature. What it prints as the
    decoupled divergence, equation 14, is this one at a temperature of 1: between inside and outside of one region
    there is nothing more to decouple. That the temperature tells the two rows apart is our reading; the published code
    has no such term, but stores a temperature of 3 that none of its terms reads.

    Args:
        student: logits, (b, c, *spatial).
        teacher: logits of the same shape.
        temperature: T > 0; a large one tells more of the improbable side.
        has_regions: as in ``teacher_terms``.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    return temperature**2 * soft_loss(student / temperature, teacher / temperature, has_regions=has_regions)


def _log_probabilities(logits: Tensor, *, has_regions: bool) -> Tensor:
    """Return the logarithms of probabilities that sum to 1 over dimension 1."""
    if has_regions:
        return torch.stack((functional.logsigmoid(logits), functional.logsigmoid(-logits)), dim=1)
    return functional.log_softmax(logits, dim=1)


def prediction_maps(logits: Tensor, *, has_regions: bool) -> Tensor:
    """Return the probabilities of the regions, or of the labels without the background.

    Two softmax outputs have one map, like one sigmoid output: the map of the background would say the same again.
    """
    return logits.sigmoid() if has_regions else logits.softmax(dim=1)[:, 1:]


def attention_loss(student_maps: Tensor, teacher_maps: Tensor, *, temperature: float) -> Tensor:
    """Return KL(A_T ‖ A_S) with A = softmax(map / temperature) over all pixels of a map.

    The sum over pixels, then the mean over images and channels.

    Args:
        student_maps: probabilities, (b, c, *spatial).
        teacher_maps: probabilities of the same shape.
        temperature: > 0; a small one leaves only where a map is largest.
    """
    log_student, log_teacher = (
        functional.log_softmax(maps.flatten(2) / temperature, dim=2) for maps in (student_maps, teacher_maps)
    )
    return functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=2).mean()


def gradient_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Return the mean of (|∇S| - |∇T|)² over images, channels and pixels.

    Args:
        student_maps: probabilities, (b, c, *spatial).
        teacher_maps: probabilities of the same shape.
    """
    return (gradient_magnitude(student_maps) - gradient_magnitude(teacher_maps)).square().mean()


def gradient_magnitude(maps: Tensor) -> Tensor:
    """Return the length of Sobel's gradient, in probability per pixel.

    Along each axis Sobel's operator is the difference (-1, 0, 1) / 2, smoothed with (1, 2, 1) / 4 along the others;
    the border pixels are repeated outwards.

    Args:
        maps: (b, c, *spatial) with two or three spatial axes.

    Returns:
        The same shape.
    """
    axes = range(2, maps.ndim)
    padded = functional.pad(maps, (1, 1) * len(axes), mode="replicate")
    components = []
    for derived in axes:
        component = padded
        for axis in axes:
            component = _correlate(component, axis, _DIFFERENCE if axis == derived else _SMOOTHING)
        components.append(component)
    # The derivative of this norm at length 0 is 0; that of a square root is not finite.
    length: Tensor = torch.linalg.vector_norm(torch.stack(components), dim=0)
    return length


def _correlate(maps: Tensor, axis: int, weights: tuple[float, float, float]) -> Tensor:
    """Weight three neighbours along one axis, which loses its first and last position.

    This is not a convolution, because autocast would compute that in fp16.
    """
    length = maps.shape[axis] - 2
    before, at, after = (weight * maps.narrow(axis, start, length) for start, weight in enumerate(weights))
    return before + at + after
