"""A model in an ONNX file of nnunet-mamba export: what its sidecar says; its weights are inside of the network."""

from pathlib import Path
from typing import NoReturn

from nnunet_mamba.models.bundles.model_json import description_in
from nnunet_mamba.models.model import Model
from nnunet_mamba.onnx_models.sidecar import read_onnx_file


def read_onnx_model(file: Path) -> Model:
    """Read the description of an exported model.

    Args:
        file: with its sidecar beside it.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: one of the two is damaged, or for a newer nnunet-mamba; names the place and the way out.
    """
    onnx = read_onnx_file(file)

    def no_weights(fold: str) -> NoReturn:
        raise ValueError(
            f"{file}: the weights of fold {fold} are inside of its network, which can predict and nothing else; give "
            "the model that it was exported from"
        )

    return Model(description=description_in(onnx.facts.at("model")), weights=no_weights, place=str(file), onnx=onnx)
