"""Which model made the masks of a folder, so that another run can tell whether it may continue there."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.system.atomic import PARTIAL_PREFIX, replacing
from nnunet_mamba.system.json_files import read_json_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

RECORD_FILE = "nnunet_mamba_prediction.json"
# Entries that tell on whose cases masks may be scored. Records of earlier releases have none of them, and the weights
# decide the masks.
DATASET, FOLDS = "dataset", "folds"
_TOLD = (DATASET,)


def digest_of_weights(weights: "Iterable[Mapping[str, Tensor]]") -> str:
    """Return a digest that is equal for equal weights.

    Args:
        weights: of each fold, by their names.
    """
    import torch

    digest = sha256()
    for fold in weights:
        for name in sorted(fold):
            tensor = fold[name].detach().cpu().contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            # numpy knows no bfloat16.
            digest.update(tensor.reshape(-1).view(dtype=torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def continue_or_begin(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run into its folder, or find the same one there.

    Args:
        folder: of the masks; it need not exist.
        record: what decides the masks; JSON values.

    Raises:
        FileExistsError: the folder holds something else, or masks of another model or of other options.
        ValueError: the record there is damaged.
        OSError: it cannot be written.
    """
    file = folder / RECORD_FILE
    # Listed first: another part of the same prediction writes its record before anything else.
    others = sorted(path.name for path in folder.iterdir() if not _is_ours(path.name)) if folder.is_dir() else []
    if file.exists():
        stored = read_json_object(file)
        compared = [name for name in {**record, **stored} if name not in _TOLD]
        different = [name for name in compared if stored.get(name) != record.get(name)]
        if different:
            told = "; ".join(f"{name}: it has {stored.get(name)}, this run {record.get(name)}" for name in different)
            raise FileExistsError(f"{folder} holds masks of another prediction ({told}); choose another `output`")
        return
    if others:
        raise FileExistsError(
            f"{folder} is not empty, it holds {others[0]}{' and more' if len(others) > 1 else ''}, and no "
            f"{RECORD_FILE} of an earlier prediction; choose an empty or a new `output`"
        )
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_ours(name: str) -> bool:
    """Return whether another part of the same prediction may have just left a file."""
    return name.startswith((PARTIAL_PREFIX, "."))
