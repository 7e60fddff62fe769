"""Put a trained model into the package, as nnunet-mamba pack-model makes it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stock_runs.seeded_training import SeededTraining

from nnunet_mamba.models.bundles.model_json import MODEL_FILE
from nnunet_mamba.models.description import Score
from nnunet_mamba.models.shipped_models import ALIASES_FILE
from nnunet_mamba.system.atomic import replacing

MOST_BYTES = 300_000
_CODE = "Apache-2.0"
_DATA = (
    "ISIC 2017: the images were published as CC-0, as far as is known. The masks were published again with ISIC 2018 "
    "under CC BY-NC 4.0. Codella et al. 2018, arXiv:1710.05006; Codella et al. 2019, arXiv:1902.03368"
)
_WEIGHTS = (
    "CC BY-NC 4.0, apart from the code's licence: the masks that they were trained with were published under CC BY-NC, "
    "and whether weights are bound by that is not settled, so take them as not for commercial use. Name the ISIC "
    "Archive and the two papers of the data"
)


@dataclass(frozen=True, kw_only=True)
class Statements:
    """What is said of a model.

    Args:
        words: Markdown for the card.
        scores: for the card.
        postprocessing: what is done to its label maps.
    """

    words: str
    scores: Sequence[Score]
    postprocessing: Sequence[str]


def put_into(shipped: Path, name: str, training: SeededTraining, statements: Statements, *, scratch: Path) -> Path:
    """Pack a model and put it into a folder of models; an earlier one of its name is replaced.

    Args:
        shipped: the folder.
        name: of the model.
        training: finished.
        statements: on the card.
        scratch: a folder for what is packed meanwhile.

    Returns:
        Its folder.

    Raises:
        RuntimeError: it could not be packed, or is too large for the package.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / f"{name}.json").write_text(json.dumps([asdict(score) for score in statements.scores]), encoding="utf-8")
    (scratch / f"{name}.md").write_text(statements.words, encoding="utf-8")
    packed = scratch / name
    shutil.rmtree(packed, ignore_errors=True)
    training.run(
        *("nnunet-mamba", "pack-model", str(training.model_folder), "-o", str(packed)),
        *("--folds", str(training.fold), "--name", name, "--trained-here"),
        *("--licence-code", _CODE, "--licence-weights", _WEIGHTS, "--licence-data", _DATA),
        *("--postprocessing", ",".join(statements.postprocessing)),
        *("--scores", str(scratch / f"{name}.json"), "--card-text", str(scratch / f"{name}.md")),
    )
    n_bytes = sum(file.stat().st_size for file in packed.iterdir())
    if n_bytes > MOST_BYTES:
        raise RuntimeError(f"{packed} has {n_bytes} bytes, and a model of the package at most {MOST_BYTES}")
    # Never half a model under its name: it may be another one's teacher.
    beside = shipped / f".{name}.new"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(packed, beside)
    shutil.rmtree(shipped / name, ignore_errors=True)
    return beside.rename(shipped / name)


def give_alias(shipped: Path, alias: str, *, data: str, protocol: str) -> str:
    """Let a short name stand for the model that scores best, and return its name.

    Args:
        shipped: the folder of models.
        alias: the short name.
        data: whose scores decide.
        protocol: which of them.
    """
    best = max(
        (score["value"], folder.parent.name)
        for folder in shipped.glob(f"*/{MODEL_FILE}")
        for score in json.loads(folder.read_text(encoding="utf-8"))["scores"]
        if score["data"].startswith(data) and (score["protocol"], score["metric"]) == (protocol, "Dice")
    )[1]
    with replacing(shipped / ALIASES_FILE) as temporary:
        temporary.write_text(json.dumps({alias: best}, indent=1) + "\n", encoding="utf-8")
    return best
