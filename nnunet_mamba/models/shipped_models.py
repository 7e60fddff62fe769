"""The models that come with nnunet-mamba, by their names and by shorter ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nnunet_mamba.models.bundles.reading import is_bundle
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import read_json_file

ALIASES_FILE = "aliases.json"
_WAY_OUT = "reinstall nnunet-mamba"


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model that comes with nnunet-mamba.

    Args:
        name: of its folder.
        folder: a bundle.
        aliases: other names of it.
    """

    name: str
    folder: Path
    aliases: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """The size of all of its files."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


def shipped_folder() -> Path:
    """Return the folder that holds the models that come with nnunet-mamba."""
    return Path(__file__).parent / "shipped"


def shipped_models() -> list[ShippedModel]:
    """Return the models that come with nnunet-mamba, sorted by name.

    Raises:
        ValueError: the installation is damaged.
    """
    folder = shipped_folder()
    names = sorted(path.name for path in folder.glob("*") if is_bundle(path))
    aliases = _aliases(names)
    return [
        ShippedModel(
            name=name,
            folder=folder / name,
            aliases=tuple(alias for alias, meant in aliases.items() if meant == name),
        )
        for name in names
    ]


def find_shipped_model(name: str) -> ShippedModel | None:
    """Return the shipped model of a name or alias, None if there is none.

    Raises:
        ValueError: the installation is damaged.
    """
    return next((model for model in shipped_models() if name in (model.name, *model.aliases)), None)


def other_names(name: str) -> str:
    """Return in words what a name that no shipped model has may have meant, and which models there are.

    Args:
        name: that was given.
    """
    models = shipped_models()
    if not models:
        return "no model comes with this nnunet-mamba"
    nearest = get_close_matches(name, [known for model in models for known in (model.name, *model.aliases)], cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    shown = [f"{model.name} ({', '.join(model.aliases)})" if model.aliases else model.name for model in models]
    return f"{hint}The models that come with nnunet-mamba are: {', '.join(shown)}"


def _aliases(names: list[str]) -> Mapping[str, str]:
    """Return the names that stand for others, without any file none."""
    file = shipped_folder() / ALIASES_FILE
    if not file.is_file():
        return {}
    entry = Entry(read_json_file(file), str(file), _WAY_OUT)
    for alias, name in entry.entries():
        if name.text() not in names or alias in names:
            name.refuse(f"one of {', '.join(names) or 'no models'}")
    return dict(entry.object())
