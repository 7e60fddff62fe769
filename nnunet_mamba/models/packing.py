"""Pack a trained model of nnU-Net's results into one file that can be shared, with what the files around it tell."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.models.bundles.model_json import LOG_FILE, MODEL_FILE, description_from_json, description_to_json
from nnunet_mamba.models.bundles.weights_file import pack_weights
from nnunet_mamba.models.bundles.writing import refuse_existing, write_bundle
from nnunet_mamba.models.data_records import with_data_records
from nnunet_mamba.models.description import Licences, ModelDescription, Score
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.nnunet.checkpoint_reading import check_whole
from nnunet_mamba.models.nnunet.results_reading import read_results
from nnunet_mamba.models.nnunet.training_records import training_table
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import fold_name

_logger = logging.getLogger(__name__)
_NO_HASH = "0" * 64


@dataclass(frozen=True, kw_only=True)
class AuthorStatements:
    """What the author of a model says of it, and no file tells.

    Args:
        name: of the model; None makes one of the trainer's and the data set's.
        licences: of its parts.
        scores: how well it did.
        postprocessing: what is done to label maps, of ``description.POSTPROCESSING``.
        versions: of the software that it was trained with, by name.
        card_text: Markdown for the card, see ``card.model_card``.
    """

    name: str | None = None
    licences: Licences = field(default_factory=Licences)
    scores: tuple[Score, ...] = ()
    postprocessing: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    card_text: str = ""


def pack_model(
    results_folder: Path,
    output: Path,
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = FINAL,
    statements: AuthorStatements | None = None,
    conversion: ImageConversion | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle from a folder of nnU-Net's results, and return its path.

    Args:
        results_folder: ``TRAINER__PLANS__CONFIGURATION``.
        output: a zip archive if it ends in ".zip", else a folder.
        folds: to take; None takes all numbered ones that have the checkpoint, or else "all".
        checkpoint_name: name of the file in each fold's folder.
        statements: of the author.
        conversion: how images are read and masks written; None takes what the raw data set tells.
        overwrite: replace an existing archive.

    Raises:
        FileNotFoundError: a file of the model is missing.
        FileExistsError: ``output`` exists.
        OSError: a file cannot be read or written; nothing is left of ``output``.
        CodeInCheckpointError: a checkpoint asks for more than tensors and plain values.
        ValueError: a file is damaged, the weights do not fit the network, or the author's words make no sense.
    """
    refuse_existing(output, overwrite=overwrite)
    statements = statements or AuthorStatements()
    model = read_results(results_folder, folds=folds, checkpoint_name=checkpoint_name)
    for fold in model.description.fold_names:
        check_whole(results_folder / fold_name(fold) / checkpoint_name)
    weights = {fold: model.fold_weights(fold) for fold in model.description.fold_names}
    description = _with_statements(with_data_records(_with_parameters(model)), statements)
    if conversion is not None:
        description = replace(description, conversion=conversion)
    if description.conversion is None:
        _logger.warning(
            "The model does not tell how its images were converted: nnUNet_raw has no %s. It will take images as they "
            "are. If those of the training were converted, set nnUNet_raw and pack it again",
            description.data.dataset,
        )
    # Whoever opens the model checks as much.
    described = description_to_json(description, weights_sha256=_NO_HASH)
    description_from_json(described, MODEL_FILE, way_out="correct it where it comes from, and pack again")
    log = training_table(results_folder, description.fold_names)
    return write_bundle(
        output,
        description,
        pack_weights(weights),
        card_text=statements.card_text,
        others={LOG_FILE: log.encode()} if log else {},
        overwrite=overwrite,
    )


def _with_parameters(model: Model) -> ModelDescription:
    """Return the description with the number of parameters, after trying whether all weights fit the network."""
    description = model.description
    if description.network is None:
        return description
    networks = [model.build_network(fold) for fold in description.fold_names]
    n_parameters = sum(parameter.numel() for parameter in networks[0].parameters())
    return replace(description, network=replace(description.network, n_parameters=n_parameters))


def _with_statements(description: ModelDescription, statements: AuthorStatements) -> ModelDescription:
    training = replace(description.training, versions={**description.training.versions, **statements.versions})
    return replace(
        description,
        name=statements.name or description.name,
        licences=statements.licences,
        scores=statements.scores,
        postprocessing=statements.postprocessing,
        training=training,
    )
