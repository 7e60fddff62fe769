"""The models that come with nnunet-mamba, and how each is trained; chosen by the ablations on the validation part."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART

ALIAS = "isic"
CARD_WORDS = Path(__file__).parent / "card_of_skin_lesions.md"


@dataclass(frozen=True, kw_only=True)
class ModelOfTheWheel:
    """A model that is trained on skin lesions and comes with nnunet-mamba.

    Args:
        name: of its folder.
        trainer: name of the trainer and its recipe, without a budget.
        seed: of the training.
        teacher: name of another model that teaches it; None for a training of its own.
        postprocessing: what is done to its label maps.
    """

    name: str
    trainer: str
    seed: int = 1
    teacher: str | None = None
    postprocessing: tuple[str, ...] = (KEEP_LARGEST_PART, FILL_HOLES)

    def trainer_name(self, epochs: int, iterations: int) -> str:
        """Return what to give to -tr.

        Args:
            epochs: of the training.
            iterations: of an epoch; nnU-Net's own number is not part of the name.
        """
        budget = f"{self.trainer}_{epochs}epochs"
        return budget if iterations == NNUNETS_ITERATIONS else f"{budget}_{iterations}iterations"


NNUNETS_ITERATIONS = 250
MODELS = (
    ModelOfTheWheel(name="ultralight-isic", trainer="nnUNetTrainerUltraLightVM_robust"),
    ModelOfTheWheel(name="ultralbm-isic", trainer="nnUNetTrainerUltraLBM_robust"),
    ModelOfTheWheel(name="ultralbm-t-isic", trainer="nnUNetTrainerUltraLBMTDistill_robust", teacher="ultralbm-isic"),
)
