"""The page of a model that comes with nnunet-mamba, or of another one with its ONNX file."""

from pathlib import Path

from nnunet_mamba.models.opening import open_model
from nnunet_mamba.web.page_model import page_model
from nnunet_mamba.web.single_file import single_file

DEFAULT_MODEL = "isic"
# The longest page that a telephone can be asked to open.
LARGEST_PAGE = 6_000_000


def network_folder() -> Path:
    """Return the folder of the ONNX files that come along, each called after its model."""
    return Path(__file__).parent / "networks"


def page_of_model(source: str | Path = DEFAULT_MODEL, *, network: Path | None = None) -> str:
    """Return the page of a model as one text, see ``single_file``.

    Args:
        source: name of a model that comes with nnunet-mamba, or path of one, see ``open_model``.
        network: the model's ONNX file; None takes the one that comes along.

    Raises:
        FileNotFoundError: there is no such model, or no ONNX file of it comes along.
        OSError: a file cannot be read.
        ValueError: a file is damaged, the page cannot serve this model, or it would be too large.
    """
    model = open_model(source)
    description = model.description
    file = network_folder() / f"{description.name}.onnx" if network is None else network
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: there is no ONNX file of {description.name}; write one with nnunet-mamba export, and name it "
            "with `network`"
        )
    page = single_file(file.read_bytes(), page_model(description, model.card()))
    n_bytes = len(page.encode("utf-8"))
    if n_bytes > LARGEST_PAGE:
        raise ValueError(
            f"the page would have {n_bytes / 1e6:.1f} MB, expected {LARGEST_PAGE / 1e6:.0f} MB at most; its network "
            f"has {file.stat().st_size / 1e6:.1f} MB: take a smaller one"
        )
    return page
