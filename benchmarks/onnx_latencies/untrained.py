"""Networks with new weights, as an export takes them."""

from importlib.metadata import version

from nnunet_mamba import create_network
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.prediction.plan import Heads, Normalization, PredictionPlan
from nnunet_mamba.presets import PRESETS

N_CHANNELS, N_HEADS = 3, 1


def untrained(name: str, size: int) -> ExportSubject:
    """Return a network with new weights, as if nnU-Net had planned it for photographs.

    Args:
        name: of the preset.
        size: of photographs, in pixels along both axes.
    """
    tied = {"input_size": (size, size)} if "input_size" in PRESETS[name].size(2).arguments else {}
    network = create_network(name, N_CHANNELS, N_HEADS, **tied).eval().requires_grad_(False)
    plan = PredictionPlan(
        configuration="2d",
        patch_size=(size, size),
        spacing=(1.0, 1.0),
        transpose_forward=(0, 1, 2),
        normalizations=(Normalization(scheme="ZScoreNormalization"),) * N_CHANNELS,
        heads=Heads(n_heads=N_HEADS, region_values=(1,)),
        needs_nnunet=None,
    )
    facts = {
        "format": 1,
        "name": name,
        "outputs": {"has_regions": True},
        "normalization": {"is_inside": True, "cuts_margin": True},
        "versions": {"nnunet-mamba": version("nnunet-mamba")},
    }
    return ExportSubject(
        networks=(network,), plan=plan, normalises=True, sees_whole_images=True, size=(size, size), facts=facts
    )
