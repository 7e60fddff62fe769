import pytest
from trained_models import plans_of_nnunet

from nnunet_mamba.models.nnunet.architecture_names import refuse_other_than_layers
from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError


@pytest.fixture
def planned():
    return plans_of_nnunet()["configurations"]["base"]


def test_the_plans_of_nnunet_pass(planned):
    refuse_other_than_layers(planned, "It")
    refuse_other_than_layers({"UNet_class_name": "PlainConvUNet"}, "It")


@pytest.mark.parametrize("name", ["os.system", "torch.hub.load", "eval", "subprocess", 3])
def test_what_is_no_layer_is_refused(planned, name):
    planned["architecture"]["arch_kwargs"]["nonlin"] = name
    with pytest.raises(
        CodeInCheckpointError, match=f"^It has plans that build their network with {name!r}, which is no"
    ):
        refuse_other_than_layers(planned, "It")


@pytest.mark.parametrize("architecture", [None, {}, {"arch_kwargs": {}, "network_class_name": "x"}])
def test_an_architecture_that_is_not_complete_is_told(planned, architecture):
    with pytest.raises(ValueError, match=r"^It has plans without a complete architecture"):
        refuse_other_than_layers({**planned, "architecture": architecture}, "It")
