"""``weights.safetensors``: the weights of all folds in one file, which holds numbers and no code.

A layer that a network has under two names is stored once, and the file's metadata tell the other name.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nnunet_mamba.models.nnunet.checkpoint_entries import first_not_finite
from nnunet_mamba.models.shared_memory import memory_of
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import parse_json

# Between a fold and the name of a weight, which has dots in it.
_BETWEEN = "/"
# The only entry of the metadata, as JSON: safetensors writes several in an order that is another one every time.
_OTHER_NAMES = "other_names"
_DTYPES = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
# The file begins with the length of its header, which is JSON.
_LENGTH = 8
_AGAIN = "get the model again"


def pack_weights(weights: Mapping[str, Mapping[str, Tensor]]) -> bytes:
    """Return the content of a file; equal weights give equal bytes.

    Args:
        weights: of every fold, by its name, as the network has them by theirs.

    Raises:
        ValueError: they are of a kind of numbers that no network here has, such as complex ones.
    """
    # Clones, because safetensors takes no two views of one memory.
    tensors: dict[str, Tensor] = {}
    other_names: dict[str, str] = {}
    for fold, values in weights.items():
        stored: dict[object, str] = {}
        for name, value in values.items():
            key = f"{fold}{_BETWEEN}{name}"
            if value.dtype not in _DTYPES:
                raise ValueError(f"{key} holds {value.dtype}, which no network here has; convert it to float32")
            if (first := stored.setdefault(memory_of(value, name), key)) != key:
                other_names[key] = first
            else:
                tensors[key] = value.detach().clone(memory_format=torch.contiguous_format)
    return save(tensors, metadata={_OTHER_NAMES: json.dumps(other_names, sort_keys=True)})


def unpack_weights(
    content: bytes, *, place: str, expected_sha256: str, folds: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    """Return the weights of every fold.

    Args:
        content: of a file.
        place: what to call it.
        expected_sha256: what model.json says.
        folds: that it must have, and no others.

    Raises:
        ValueError: the content is another one than model.json speaks of, or no such file, or holds what no network can
            have.
    """
    found = sha256(content).hexdigest()
    if found != expected_sha256:
        raise ValueError(
            f"{place} has the SHA-256 {found[:12]}…, and model.json says {expected_sha256[:12]}…: it is damaged or of "
            f"another model; {_AGAIN}"
        )
    try:
        tensors = load(content)
    # KeyError: a kind of numbers that torch does not have.
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"{place} is no file of safetensors ({error}); {_AGAIN}") from error
    weights: dict[str, dict[str, Tensor]] = {fold: {} for fold in folds}
    for key, value in {**tensors, **_under_other_names(content, tensors, place)}.items():
        fold, _, name = key.partition(_BETWEEN)
        if fold not in weights or not name:
            raise ValueError(
                f"{place} has {key!r}, expected a fold ({', '.join(weights)}), a slash and a weight's name; {_AGAIN}"
            )
        if value.dtype not in _DTYPES:
            raise ValueError(f"{place}: {key} holds {value.dtype}, which no network here has; {_AGAIN}")
        if first_not_finite(value, name) is not None:
            raise ValueError(
                f"{place}: {key} has values that are not finite (NaN or infinite), with which nothing can be "
                f"predicted; {_AGAIN}, or train it anew"
            )
        weights[fold][name] = value
    for fold, values in weights.items():
        if not values:
            raise ValueError(f"{place} has no weights of fold {fold}, which model.json names; {_AGAIN}")
    return weights


def _under_other_names(content: bytes, tensors: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """Return the tensors of the layers that have another name, by that one."""
    length = int.from_bytes(content[:_LENGTH], "little")
    header = parse_json(content[_LENGTH : _LENGTH + length].decode("utf-8"), place)
    text = (header.get("__metadata__") or {}).get(_OTHER_NAMES, "{}")
    names = Entry(parse_json(text, f"{place}: {_OTHER_NAMES}"), f"{place}: {_OTHER_NAMES}", _AGAIN)
    for key, stored in names.entries():
        if stored.text() not in tensors or key in tensors:
            stored.refuse("the name of a tensor in the file")
    return {key: tensors[stored] for key, stored in names.object().items()}
