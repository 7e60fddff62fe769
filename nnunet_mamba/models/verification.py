"""Try a model out without images: hashes, weights and network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.models.model import Model
from nnunet_mamba.models.opening import model_path, open_model
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import fold_name
from nnunet_mamba.results.trained_model import is_results_folder


@dataclass(frozen=True, kw_only=True)
class VerifiedModel:
    """A model whose weights fit its network.

    Args:
        model: what was opened.
        n_parameters: of the network, counted; None where only nnU-Net can build it.
    """

    model: Model
    n_parameters: int | None


def verify_model(
    source: str | Path, *, folds: Sequence[int | str] | None = None, checkpoint_name: str = FINAL
) -> VerifiedModel:
    """Open a model, compare its hashes, build its network and load the weights of every fold.

    The network of an ONNX file is built already, and computes the logits of its check images.

    Args:
        source: see ``open_model``, as for the others.
        folds: to look at.
        checkpoint_name: name of the file in each fold's folder.

    Raises:
        FileNotFoundError: there is no such model, or a part of it is missing.
        OSError: it cannot be read.
        ValueError: something is wrong with it; one sentence.
    """
    model = open_model(source, folds=folds, checkpoint_name=checkpoint_name)
    model.card()
    if model.onnx is not None:
        from nnunet_mamba.onnx_models.verification import verify_onnx

        verify_onnx(model.onnx.path)
        return VerifiedModel(model=model, n_parameters=model.onnx.facts.at("n_parameters").whole(least=1))
    path = model_path(source)
    if is_results_folder(path):
        # Not at the top: torch is imported with it, which an ONNX file does not need.
        from nnunet_mamba.models.nnunet.checkpoint_reading import check_whole

        for fold in model.description.fold_names:
            check_whole(path / fold_name(fold) / checkpoint_name)
    described = model.description.network
    if described is None:
        for fold in model.description.fold_names:
            model.fold_weights(fold)
        return VerifiedModel(model=model, n_parameters=None)
    networks = [model.build_network(fold) for fold in model.description.fold_names]
    n_parameters = sum(parameter.numel() for parameter in networks[0].parameters())
    if described.n_parameters not in (None, n_parameters):
        raise ValueError(
            f"{model.place}: network.n_parameters is {described.n_parameters}, and the network has {n_parameters}; get "
            "the model again"
        )
    return VerifiedModel(model=model, n_parameters=n_parameters)
