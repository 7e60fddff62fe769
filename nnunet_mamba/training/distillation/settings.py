"""The weights of a distillation's loss terms and its temperatures: a variant's, changed by an environment variable."""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType

import torch
from torch import Tensor

SETTINGS_VARIABLE = "NNUNET_MAMBA_DISTILLATION"
TEACHER_TERMS = ("soft", "kl", "attention", "gradient")
NO_VARIANT: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """How much each term of ``losses`` counts.

    The paper prints no weights. With these, the gradients of the terms with respect to the outputs of UltraLBM-UNet-T
    were about 0.6 (soft), 0.3 (attention) and 0.2 (gradient) times as long as that of nnU-Net's own loss, over 120
    steps on photographs of skin lesions: every term is felt, and the labels lead.

    Args:
        hard: λh, weight of nnU-Net's own loss against the labels, >= 0.
        soft: λs, of the divergence from the teacher's probabilities.
        attention: λa, of the divergence between the spatial softmaxes.
        gradient: λg, of the difference between the lengths of the gradients.
        temperature: τ of the spatial softmaxes, > 0.
        kl: of the conventional divergence, at ``kl_temperature``, that the paper's ablation has in the place of "soft".
        kl_temperature: of the probabilities in that one, > 0, see ``losses.kl_loss``.

    Raises:
        ValueError: a value is not a number in its range, or all weights are 0.
    """

    hard: float = 1.0
    soft: float = 1.0
    attention: float = 1.0
    gradient: float = 10.0
    temperature: float = 0.5
    kl: float = 0.0
    kl_temperature: float = 3.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            lowest_is_allowed = not name.endswith("temperature")
            if not math.isfinite(value) or value < 0 or (value == 0 and not lowest_is_allowed):
                allowed = ">= 0" if lowest_is_allowed else "> 0"
                raise ValueError(f"{name}={value:g} is not a finite number {allowed}.")
        if not any((self.hard, self.soft, self.attention, self.gradient, self.kl)):
            raise ValueError("All weights are 0: give hard, soft, attention, gradient or kl one that is not.")

    @classmethod
    def from_text(cls, text: str, of_variant: Mapping[str, float] = NO_VARIANT) -> "DistillationSettings":
        """Read "soft=2,temperature=0.5"; what is not named has its default.

        Args:
            text: to read.
            of_variant: the defaults that a variant of the trainer replaces; it decides which terms there are, and the
                text how much they count.

        Raises:
            ValueError: the text is of another form, a value out of its range, or a term not one of the variant's.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, float] = {}
        entries = [entry for entry in map(str.strip, text.split(",")) if entry]
        if text.strip() and not entries:
            raise ValueError("it names nothing; give a number to one of " + ", ".join(names) + ", or unset it")
        for entry in entries:
            name, _, value = map(str.strip, entry.partition("="))
            if name not in names or name in values or not _is_number(value):
                raise ValueError(
                    f"{entry!r} is not one of {', '.join(names)} with a number, each at most once and separated by "
                    f"commas, such as 'soft=2,temperature=0.5'."
                )
            values[name] = float(value)
        begin = cls(**of_variant)
        if of_variant:
            begin.refuse_other_terms(values)
        return replace(begin, **values)

    def refuse_other_terms(self, values: Mapping[str, float]) -> None:
        """Raise if values would have a teacher's term that is left out here, or leave out one that is not.

        Args:
            values: some of the settings.

        Raises:
            ValueError: names the first one.
        """
        for name in TEACHER_TERMS:
            is_there = getattr(self, name) != 0
            if name in values and (values[name] != 0) != is_there:
                raise ValueError(
                    f"{name}={values[name]:g} {'leaves out' if is_there else 'asks for'} a term that the variant in "
                    f"the trainer's name {'has' if is_there else 'leaves out'}. Unset {name}, or train without a "
                    "variant or with another one."
                )

    @classmethod
    def from_environment(cls, of_variant: Mapping[str, float] = NO_VARIANT) -> "DistillationSettings":
        """Return what the environment variable says; where it is not set, the defaults.

        Args:
            of_variant: as in ``from_text``.

        Raises:
            ValueError: as ``from_text``; names the variable.
        """
        text = os.environ.get(SETTINGS_VARIABLE, "")
        try:
            return cls.from_text(text, of_variant)
        except ValueError as error:
            raise ValueError(f"{SETTINGS_VARIABLE}={text!r}: {error}") from error

    def as_text(self) -> str:
        """Return all values in the form that ``from_text`` reads."""
        return ",".join(f"{name}={value}".removesuffix(".0") for name, value in asdict(self).items())

    def weighted_sum(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the loss: the sum of the terms, each times the weight of its name."""
        weights = asdict(self)
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
