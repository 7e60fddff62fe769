"""The page of a model that comes with nnunet-mamba, or of an exported one."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.opening import ONNX_SUFFIX, open_model
from nnunet_mamba.web.page_model import page_model
from nnunet_mamba.web.single_file import single_file

DEFAULT_MODEL = "isic"
# The longest page that a telephone can be asked to open.
LARGEST_PAGE = 6_000_000


def network_folder() -> Path:
    """Return the folder of the ONNX files that come along, each called after its model."""
    return Path(__file__).parent / "networks"


def network_of(model: str) -> Path:
    """Return where the ONNX file of a model that comes along lies, if there is one.

    Args:
        model: its name, without an alias.
    """
    return network_folder() / f"{model}.onnx"


@dataclass(frozen=True, kw_only=True)
class _ExportedModel:
    """A model as the page needs it.

    Args:
        description: what is known of it.
        card: its model card, Markdown.
        network: its ONNX file.
    """

    description: ModelDescription
    card: str
    network: Path


def page_of_model(source: str | Path = DEFAULT_MODEL) -> str:
    """Return the page of a model as one text, see ``single_file``.

    Args:
        source: name of a model that comes with nnunet-mamba with its ONNX file, or path of an ONNX file that
            ``nnunet-mamba export`` has written, beside which FILE.onnx.json tells of its model.

    Raises:
        FileNotFoundError: there is no such model, or a file of it is missing.
        OSError: a file cannot be read.
        ValueError: a file is damaged, the page cannot serve this model, or it would be too large.
    """
    model = _exported(Path(source)) if Path(source).suffix.lower() == ONNX_SUFFIX else _shipped(str(source))
    content = model.network.read_bytes()
    page = single_file(content, page_model(model.description, model.card))
    n_bytes = len(page.encode("utf-8"))
    if n_bytes > LARGEST_PAGE:
        raise ValueError(
            f"the page would have {n_bytes / 1e6:.1f} MB, expected {LARGEST_PAGE / 1e6:.0f} MB at most; its network "
            f"has {len(content) / 1e6:.1f} MB: take a smaller one"
        )
    return page


def _shipped(name: str) -> _ExportedModel:
    model = open_model(name)
    network = network_of(model.description.name)
    if not network.is_file():
        raise FileNotFoundError(
            f"{network} does not exist: no ONNX file of {name} comes along; write one with nnunet-mamba export, and "
            "name it instead"
        )
    return _ExportedModel(description=model.description, card=model.card(), network=network)


def _exported(network: Path) -> _ExportedModel:
    if not network.is_file():
        raise FileNotFoundError(f"{network} does not exist; write it with nnunet-mamba export")
    model = open_model(network)
    assert model.onnx is not None
    if not model.onnx.facts.at("normalization").at("is_inside").flag():
        raise ValueError(
            f"{network} takes images that are normalised already, and the page gives pixels from 0 to 255; use "
            "nnunet-mamba predict for this model"
        )
    # An older export, which would leave black margins to the page, has no such entry.
    model.onnx.facts.at("normalization").at("cuts_margin").flag()
    return _ExportedModel(description=model.description, card=model.card(), network=network)
