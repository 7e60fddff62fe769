"""What nnU-Net needs: its three folders, room on their disks, its commands, and our trainers where it looks."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nnunet_mamba._startup import OPT_OUT, SEARCH_PATH
from nnunet_mamba.bundled import REINSTALL, trainer_names, trainers_folder
from nnunet_mamba.doctor.findings import Finding, Level, gibibytes
from nnunet_mamba.system.nnunet_folders import VARIABLES, export, unexpanded, wrong_folder

_ENOUGH_ROOM = 5 * 2**30  # bytes
# A checkpoint of the largest networks has about as much.
_TOO_LITTLE_ROOM = 2**29
_FIND_TRAINERS = """
import json, os, sys
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
missing = {}
for name in sys.argv[1:]:
    try:
        recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        missing[name] = str(error)
print(json.dumps({"search_path": os.environ.get("nnUNet_extTrainer", ""), "missing": missing}))
"""


def folders() -> Iterator[Finding]:
    """Look at nnU-Net's three folders and the room on their disks."""
    existing = []
    for variable in VARIABLES:
        finding = _folder(variable)
        yield finding
        if finding.level == "ok":
            existing.append(Path(os.environ[variable]))
    disks = {folder.stat().st_dev: folder for folder in existing}
    yield from (_room(folder) for folder in disks.values())


def _folder(variable: str) -> Finding:
    value = os.environ.get(variable)
    if not value:
        text, remedy = "is not set" if value is None else "is empty", f"export {variable}=/path/to/{variable}"
        return Finding(name=variable, level="problem", text=text, remedy=remedy)
    if (wrong := wrong_folder(value)) is not None:
        what, meant = wrong
        return Finding(name=variable, level="problem", text=f"is {value!r}: {what}", remedy=export(variable, meant))
    folder = Path(value)
    # os.path: pathlib raises where a folder above may not be looked into.
    if not os.path.isdir(folder):
        text = f"{folder} does not exist, or not for you"
        return Finding(name=variable, level="problem", text=text, remedy=f"mkdir -p {shlex.quote(str(folder))}")
    if not _is_writable(folder):
        if variable == "nnUNet_raw":
            return Finding(name=variable, text=f"{folder} (read only, which is enough to plan and train)")
        return Finding(
            name=variable,
            level="problem",
            text=f"{folder} is not writable for you",
            remedy=f"change its permissions, or export {variable}=/a/folder/of/yours",
        )
    return Finding(name=variable, text=str(folder))


def _is_writable(folder: Path) -> bool:
    # Try it, because access rights alone do not tell on network disks.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{gibibytes(free)} free at {folder}"
    if free >= _ENOUGH_ROOM:
        return Finding(name="disk", text=text)
    level: Level = "problem" if free < _TOO_LITTLE_ROOM else "hint"
    return Finding(
        name="disk", level=level, text=f"only {text}", remedy="delete what is not needed, or take another disk"
    )


def commands() -> Finding:
    """Compare the ``nnUNetv2_train`` of the search path with the one of this Python."""
    found, own = shutil.which("nnUNetv2_train"), Path(sysconfig.get_path("scripts"))
    of_user = Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    if found is None:
        return Finding(
            name="commands",
            level="hint",
            text="nnUNetv2_train is not on your PATH",
            remedy=f"activate the environment, or call {own / 'nnUNetv2_train'}",
        )
    # The command may be a link, as pipx makes it.
    places = {Path(found).parent.resolve(), Path(found).resolve().parent}
    if places.isdisjoint({own.resolve(), of_user.resolve()}):
        return Finding(
            name="commands",
            level="problem",
            text=f"{found} belongs to another Python than nnunet-mamba ({sys.executable})",
            remedy=f"activate the environment of nnunet-mamba, or call {own / 'nnUNetv2_train'}",
        )
    return Finding(name="commands", text=found)


def checkpoints() -> Finding:
    """Warn of the commands that run code hidden in a checkpoint; every installation has them."""
    return Finding(
        name="checkpoints",
        text="nnUNetv2_predict, and nnU-Net's own trainers with --c, --val or -pretrained_weights, run code that is in "
        "a checkpoint: give them files that you trust. Our trainers and nnunet-mamba read files without running them",
    )


def trainers() -> Iterator[Finding]:
    """Let nnU-Net's own resolver look for every trainer in a fresh process, as ``nnUNetv2_train`` does."""
    try:
        folder = trainers_folder()
    except FileNotFoundError as error:
        remedy = REINSTALL
        yield Finding(name="trainers", level="problem", text=str(error), remedy=remedy)
        return
    names = trainer_names()
    environment = dict(os.environ)
    if not os.environ.get(OPT_OUT):
        # The start-up file has put our folder there, and must do so again.
        others = [part for part in environment.get(SEARCH_PATH, "").split(os.pathsep) if part and part != folder]
        environment[SEARCH_PATH] = os.pathsep.join(others)
    process = subprocess.run(
        [sys.executable, "-c", _FIND_TRAINERS, *names, *(f"{name}_1epoch" for name in names[:1])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        reason = (process.stderr.strip().splitlines() or ["it says nothing"])[-1]
        text, remedy = f"nnU-Net cannot look for them: {reason}", "pip install --force-reinstall --no-deps nnunetv2"
        if (file := _file_in(environment.get(SEARCH_PATH, ""), process.stderr, not_in=folder)) is not None:
            remedy = f"put {file} right, or take its folder out of {SEARCH_PATH}"
        yield Finding(name="trainers", level="problem", text=text, remedy=remedy)
        return
    result = json.loads(process.stdout.splitlines()[-1])
    yield from _lost_folders(environment.get(SEARCH_PATH, ""))
    yield _startup(folder in result["search_path"].split(os.pathsep))
    yield _resolved(names, result["missing"])


def _file_in(search_path: str, traceback: str, *, not_in: str) -> str | None:
    """Return the last file in a traceback that lies in one of the user's own folders of trainers."""
    folders = [os.path.abspath(part) for part in search_path.split(os.pathsep) if part and part != not_in]
    files = re.findall(r'File "([^"]+)"', traceback)
    return next((file for file in reversed(files) if os.path.dirname(os.path.abspath(file)) in folders), None)


def _lost_folders(search_path: str) -> Iterator[Finding]:
    """Report folders of trainers that nnU-Net skips in silence."""
    for part in filter(None, search_path.split(os.pathsep)):
        what = unexpanded(part) or (None if os.path.isdir(part) else "there is no such folder")
        if what is not None:
            yield Finding(
                name=SEARCH_PATH,
                level="hint",
                text=f"lists {part!r}: {what}. nnU-Net finds no trainer there",
                remedy=f'give the full path, as in export {SEARCH_PATH}="$HOME/…"',
            )


def _startup(is_listed: bool) -> Finding:
    by_hand = f"export {SEARCH_PATH}=$(nnunet-mamba trainers-path)"
    if os.environ.get(OPT_OUT):
        if is_listed:
            return Finding(name="start-up file", text=f"off ({OPT_OUT} is set); {SEARCH_PATH} lists the trainers")
        text, remedy = f"off ({OPT_OUT} is set), and {SEARCH_PATH} does not list the trainers", by_hand
        return Finding(name="start-up file", level="problem", text=text, remedy=f"unset {OPT_OUT}, or {remedy}")
    if is_listed:
        return Finding(name="start-up file", text=f"active: {SEARCH_PATH} lists the trainers in every process")
    return Finding(
        name="start-up file",
        level="problem",
        text="a new Python process does not list the trainers",
        remedy=f"{REINSTALL}, or {by_hand}",
    )


def _resolved(names: list[str], missing: dict[str, str]) -> Finding:
    if not missing:
        return Finding(name="trainers", text=f"{len(names)} of {len(names)} found by nnU-Net")
    first = next(iter(missing))
    return Finding(
        name="trainers",
        level="problem",
        text=f"nnU-Net does not find {', '.join(missing)}: {missing[first].splitlines()[0]}",
        remedy="see the start-up file above; else report it with the output of nnunet-mamba doctor --json",
    )
