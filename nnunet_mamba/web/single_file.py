"""One HTML file that holds the page, onnxruntime-web and a model, and may not open any connection."""

import base64
import gzip
import hashlib
import json
import re
from typing import Any

from nnunet_mamba.web.page_source import joined_modules, page_folder
from nnunet_mamba.web.runtime_files import LOADER, MODULE, WASM, read_runtime

# Text in a script element must not end it, or open a comment in it.
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)
_PLACE = re.compile(r"\{\{ (\w+) \}\}")


def single_file(network: bytes, model: dict[str, Any]) -> str:
    """Return the page as one text.

    Args:
        network: the model's ONNX file, with the input ``image``, (1, 3, h, w) RGB from 0 to 255, and the output
            ``logits``, (1, n, h, w) of one or two channels.
        model: of ``page_model``.

    Raises:
        FileNotFoundError: a part of the installation is missing.
        ValueError: a part of the installation is damaged.
    """
    folder = page_folder()
    runtime = read_runtime()
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = joined_modules(folder / "page.js")
    parts = {
        "policy": content_policy(style=style, script=script),
        "style": style,
        "script": script,
        # In JSON a sign may be written by its number.
        "facts": json.dumps(model, ensure_ascii=False).replace("<", "\\u003c"),
        "worker": joined_modules(folder / "segmenter.js"),
        "packed_module": _text(runtime.packed[MODULE]),
        "packed_loader": _text(runtime.packed[LOADER]),
        "packed_wasm": _text(runtime.packed[WASM]),
        "packed_model": _text(gzip.compress(network, compresslevel=9, mtime=0)),
    }
    for name in ("script", "worker"):
        if found := _ENDS_SCRIPT.search(parts[name]):
            raise ValueError(f"the page's {name} holds {found[0]!r}, which would end it; write it in two parts")
    return _PLACE.sub(lambda place: parts[place[1]], (folder / "index.html").read_text(encoding="utf-8"))


def content_policy(*, style: str, script: str) -> str:
    """Return a content-security policy that allows this style, this script and the worker, and no connection.

    Args:
        style: the only one that may count.
        script: the only one that may run, besides what it makes itself: the worker and the runtime.
    """
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{_sha256(script)}' 'wasm-unsafe-eval' blob:",
        "style-src": f"'sha256-{_sha256(style)}'",
        "worker-src": "blob:",
        "img-src": "blob: data:",
        "connect-src": "'none'",
        "form-action": "'none'",
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
