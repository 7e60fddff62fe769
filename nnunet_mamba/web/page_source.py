"""Join the page's modules into one script, in the order in which they need each other."""

import re
from pathlib import Path

# The whole syntax that the page's files may use to name each other.
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_ANY_IMPORT = re.compile(r"^\s*import\b(?!\()", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)
_ANY_EXPORT = re.compile(r"^\s*export\b", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^(?:async )?(?:function\*?|class|const|let)\s+(\w+)", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*/\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)


def page_folder() -> Path:
    """Return the folder of the page's files."""
    return Path(__file__).parent / "page"


def joined_modules(entry: Path) -> str:
    """Return a script with everything that a module needs, each module once, without their comments for readers.

    Args:
        entry: the module that is run; it and all that it imports lie in one folder.

    Raises:
        ValueError: a module names another one in a way that cannot be joined, two modules give one name to something,
            or they need each other in a circle.
        FileNotFoundError: a module is missing.
    """
    parts: dict[Path, str] = {}
    _collect(entry, parts, above=())
    _refuse_equal_names(parts)
    return "\n".join(parts.values())


def _collect(module: Path, parts: dict[Path, str], above: tuple[Path, ...]) -> None:
    if module in above:
        raise ValueError(
            f"{module.name} needs itself: {' > '.join(one.name for one in (*above, module))}; cut the circle"
        )
    if module in parts:
        return
    text = module.read_text(encoding="utf-8")
    for needed in _IMPORT.findall(text):
        _collect(module.parent / needed, parts, (*above, module))
    alone = _EXPORT.sub("", _IMPORT.sub("", _COMMENT.sub("", text)))
    for pattern in (_ANY_IMPORT, _ANY_EXPORT):
        if found := pattern.search(alone):
            line = alone[found.start() :].strip().partition("\n")[0]
            raise ValueError(f'{module.name}: {line!r}; write import {{ … }} from "./file.js"; or export before a name')
    parts[module] = alone.strip() + "\n"


def _refuse_equal_names(parts: dict[Path, str]) -> None:
    owners: dict[str, Path] = {}
    for module, text in parts.items():
        for name in _TOP_LEVEL.findall(text):
            other = owners.setdefault(name, module)
            if other != module:
                raise ValueError(f"{module.name} and {other.name} both have a {name}; rename one")
