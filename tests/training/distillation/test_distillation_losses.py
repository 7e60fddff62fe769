"""Every term against values worked out by hand."""

from math import log

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.training.distillation.losses import (
    attention_loss,
    gradient_loss,
    gradient_magnitude,
    kl_loss,
    prediction_maps,
    soft_loss,
    teacher_terms,
)
from nnunet_mamba.training.distillation.settings import DistillationSettings

SHAPES = [(2, 3, 5, 6), (2, 3, 4, 5, 6)]
HEADS = [pytest.param(True, id="regions"), pytest.param(False, id="labels")]


def _logits(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _map(*values: float) -> torch.Tensor:
    """One image with one row of pixels."""
    return torch.tensor(values).reshape(1, 1, 1, -1)


def _impulse(n_axes: int) -> torch.Tensor:
    """A map of three pixels an axis that is 1 in the middle."""
    maps = torch.zeros(1, 1, *[3] * n_axes)
    maps[0, 0][(1,) * n_axes] = 1
    return maps


def test_soft_loss_of_regions_is_the_mean_of_binary_divergences():
    # Logits of the probabilities: teacher 1/2 and 3/4, student 1/5 and 3/4.
    teacher, student = _map(0, log(3)), _map(log(1 / 4), log(3))
    first = 0.5 * log(0.5 / 0.2) + 0.5 * log(0.5 / 0.8)
    assert soft_loss(student, teacher, has_regions=True).item() == pytest.approx((first + 0) / 2, rel=1e-6)


def test_soft_loss_of_labels_sums_over_labels_and_averages_over_pixels():
    teacher = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.4, 0.4]]).log().T.reshape(1, 3, 1, 2)
    student = torch.tensor([[0.25, 0.5, 0.25], [0.2, 0.4, 0.4]]).log().T.reshape(1, 3, 1, 2)
    first = 0.5 * log(2) + 0.25 * log(0.5)
    # A softmax does not see a constant.
    assert soft_loss(student + 3, teacher - 7, has_regions=False).item() == pytest.approx((first + 0) / 2, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_background_and_one_label_learn_as_one_region_does(shape):
    settings = DistillationSettings()
    teacher, student = (_logits((2, 1, *shape[2:]), seed) for seed in (0, 1))
    two = [torch.cat((torch.zeros_like(logits), logits), dim=1) for logits in (student, teacher)]
    of_region = teacher_terms(student, teacher, settings, has_regions=True)
    of_labels = teacher_terms(*two, settings, has_regions=False)
    assert of_region.keys() == of_labels.keys()
    for name in of_region:
        assert of_labels[name].item() == pytest.approx(of_region[name].item(), rel=1e-5), name


def test_soft_loss_is_exact_where_probabilities_round_to_0_and_1():
    teacher, student = _map(1e4, -1e4, 1e4), _map(-1e4, 1e4, 1e4).requires_grad_()
    loss = soft_loss(student, teacher, has_regions=True)
    loss.backward()
    assert loss.item() == pytest.approx(2e4 / 3)
    torch.testing.assert_close(student.grad, _map(-1 / 3, 1 / 3, 0))


def test_kl_loss_of_regions_has_a_closed_form():
    # At a temperature of 2, logits of 2 log 3 and 0 are probabilities of 3/4 and 1/2.
    teacher, student = _map(2 * log(3), 5), _map(0, 5)
    divergence = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)
    assert kl_loss(student, teacher, temperature=2, has_regions=True).item() == pytest.approx(4 * divergence / 2)


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_kl_loss_of_labels_is_torchs_divergence_of_softened_probabilities(shape, temperature):
    teacher, student = (4 * _logits(shape, seed, torch.float64) for seed in (0, 1))
    # One pixel a row, so that the mean over the batch is that over pixels.
    rows = [logits.movedim(1, -1).flatten(0, -2) / temperature for logits in (student, teacher)]
    expected = functional.kl_div(rows[0].log_softmax(1), rows[1].softmax(1), reduction="batchmean") * temperature**2
    found = kl_loss(student, teacher, temperature=temperature, has_regions=False)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("has_regions", HEADS)
def test_kl_loss_is_the_soft_loss_at_a_temperature_of_1_and_tends_to_a_square_at_a_large_one(has_regions):
    teacher, student = (_logits((2, 3, 5, 6), seed, torch.float64) for seed in (0, 1))
    soft = soft_loss(student, teacher, has_regions=has_regions)
    assert kl_loss(student, teacher, temperature=1, has_regions=has_regions).item() == pytest.approx(soft.item())
    # Hinton et al., equation 4: for two sides d² / 8 with d the difference of their logits, for n labels the variance
    # of the differences over 2.
    difference = student - teacher
    limit = difference.square() / 8 if has_regions else difference.var(dim=1, correction=0) / 2
    hot = kl_loss(student, teacher, temperature=1e4, has_regions=has_regions)
    assert hot.item() == pytest.approx(limit.mean().item(), rel=1e-3)


def test_maps_leave_the_background_out():
    logits = torch.tensor([0.2, 0.3, 0.5]).log().reshape(1, 3, 1, 1)
    torch.testing.assert_close(prediction_maps(logits, has_regions=False).flatten(), torch.tensor([0.3, 0.5]))
    torch.testing.assert_close(prediction_maps(logits[:, :1], has_regions=True).flatten(), torch.tensor([1 / 6]))


def test_attention_loss_is_the_divergence_of_the_spatial_softmaxes():
    # Over the temperature of 1/2: softmax(0, 0) = (1/2, 1/2) and softmax(0, log 3) = (1/4, 3/4).
    teacher, student = _map(0, log(3) / 2), _map(0.1, 0.1)
    expected = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)
    assert attention_loss(student, teacher, temperature=0.5).item() == pytest.approx(expected, rel=1e-6)
    # The mean over channels and images, of which only one differs.
    teachers, students = torch.zeros(2, 3, 1, 1, 2), torch.zeros(2, 3, 1, 1, 2)
    teachers[1, 2, 0], students[1, 2, 0] = teacher[0, 0], student[0, 0]
    assert attention_loss(students, teachers, temperature=0.5).item() == pytest.approx(expected / 6, rel=1e-6)


def test_the_gradient_of_a_ramp_is_its_slope_and_half_of_it_at_the_border():
    along_x = torch.arange(5.0).mul(0.1).expand(1, 1, 4, 5)
    expected = torch.tensor([0.05, 0.1, 0.1, 0.1, 0.05]).expand(1, 1, 4, 5)
    torch.testing.assert_close(gradient_magnitude(along_x), expected)
    torch.testing.assert_close(gradient_magnitude(along_x.mT), expected.mT)
    depth = torch.arange(5.0).mul(0.1).reshape(1, 1, 5, 1, 1).expand(1, 1, 5, 4, 3)
    torch.testing.assert_close(gradient_magnitude(depth)[0, 0, :, 1, 2], expected[0, 0, 0])


def test_gradient_magnitude_of_one_bright_pixel():
    side, corner = 0.5 * 0.5, (2 * (0.5 * 0.25) ** 2) ** 0.5
    expected = torch.tensor([[corner, side, corner], [side, 0, side], [corner, side, corner]])
    torch.testing.assert_close(gradient_magnitude(_impulse(2))[0, 0], expected)


@pytest.mark.parametrize(
    ("n_axes", "expected"),
    [
        # Sides and corners of a square; faces, edges and corners of a cube.
        (2, (4 * 0.25**2 + 4 * 2 * 0.125**2) / 9),
        (3, (6 * 0.125**2 + 12 * 2 * 0.0625**2 + 8 * 3 * 0.03125**2) / 27),
    ],
)
def test_gradient_loss_is_the_mean_square_of_the_difference_in_length(n_axes, expected):
    bright, flat = _impulse(n_axes), torch.full([1, 1, *[3] * n_axes], 0.7)
    assert gradient_loss(flat, bright).item() == pytest.approx(expected, rel=1e-6)
    assert gradient_loss(bright, flat).item() == pytest.approx(expected, rel=1e-6)
    # Its direction does not count.
    assert gradient_loss(1 - bright, bright).item() == pytest.approx(0, abs=1e-12)


def test_flat_maps_have_a_finite_derivative():
    flat = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    gradient_loss(flat, _logits((1, 1, 4, 4), 0).sigmoid()).backward()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("has_regions", HEADS)
@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 2, 3, 2, 3)], ids=["2d", "3d"])
def test_derivatives_are_those_of_the_values(shape, has_regions):
    teacher, student = (_logits(shape, seed, torch.float64) for seed in (0, 1))
    student = student.requires_grad_()
    teacher_maps = prediction_maps(teacher, has_regions=has_regions)

    def terms(logits):
        maps = prediction_maps(logits, has_regions=has_regions)
        return (
            soft_loss(logits, teacher, has_regions=has_regions),
            kl_loss(logits, teacher, temperature=3, has_regions=has_regions),
            attention_loss(maps, teacher_maps, temperature=0.1),
            gradient_loss(maps, teacher_maps),
        )

    assert torch.autograd.gradcheck(terms, student)


@pytest.mark.parametrize("has_regions", HEADS)
@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_a_student_like_its_teacher_has_nothing_to_learn(shape, has_regions):
    logits = _logits(shape, 0)
    student = logits.clone().requires_grad_()
    terms = teacher_terms(student, logits, DistillationSettings(), has_regions=has_regions)
    sum(terms.values()).backward()
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(dict.fromkeys(terms, 0), abs=1e-6)
    assert student.grad.abs().max() < 1e-6


@pytest.mark.parametrize("has_regions", HEADS)
def test_half_precision_logits_are_compared_in_fp32_under_autocast_too(has_regions):
    teacher, student = (4 * _logits((2, 3, 8, 8), seed) for seed in (0, 1))
    halves = [logits.to(torch.bfloat16) for logits in (student, teacher)]
    exact = teacher_terms(*(half.float() for half in halves), DistillationSettings(), has_regions=has_regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = teacher_terms(*halves, DistillationSettings(), has_regions=has_regions)
    assert terms.keys() == exact.keys()
    for name, term in terms.items():
        assert term.dtype == torch.float32, name
        assert torch.equal(term, exact[name]), name


def test_terms_of_weight_0_are_left_out():
    logits = _logits((1, 1, 4, 4), 0)
    terms = teacher_terms(logits, logits, DistillationSettings(soft=0, gradient=0), has_regions=True)
    assert list(terms) == ["attention"]
    terms = teacher_terms(logits, logits, DistillationSettings(soft=0, kl=1, attention=0), has_regions=True)
    assert list(terms) == ["kl", "gradient"]
