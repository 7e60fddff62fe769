"""Ask nnU-Net what only it can tell, in a process of its own: nnunet-mamba itself stays without torch.

``python -m nnunet_mamba.crossval.nnunet_side DATASET DATA_IDENTIFIER TRAINER …`` prints JSON.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.data.splits.split_files import SPLITS_FILE, adopt_splits, read_splits
from nnunet_mamba.results.layout import fold_of_dataset
from nnunet_mamba.results.plans import data_identifier, inherited
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.nnunet_folders import dataset_number
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.plans_checks import refuse_senseless_plans
from nnunet_mamba.training.plans_names import large_batch_notice

if TYPE_CHECKING:
    from nnunet_mamba.training.preset_trainer import PresetTrainer


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What nnU-Net tells before anything runs.

    Args:
        n_folds: of splits_final.json.
        n_gpus: that torch sees.
        teachers: for each trainer that learns from another one, the trainers that may be its teacher.
        teacher_fold: the only fold with a teacher, where NNUNET_MAMBA_TEACHER names one fold of this data set.
        notices: sentences for the user, by trainer and plans, where the plans do not fit the trainer's recipe.
    """

    n_folds: int
    n_gpus: int
    teachers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    teacher_fold: str | None = None
    notices: Mapping[tuple[str, str], str] = field(default_factory=dict)


def prepare(dataset: Path, configuration: str, *, plans: Sequence[str], trainers: Sequence[str]) -> Preparation:
    """Check that nnU-Net can begin, and make splits_final.json if there is none.

    Trainings that start together would write it over each other.

    Args:
        dataset: ``$nnUNet_preprocessed/DatasetXXX_Name``.
        configuration: "2d", "3d_fullres", …
        plans: names of plans.
        trainers: class names.

    Raises:
        ValueError: plans, configuration, preprocessed data or a trainer is missing, or there are too few cases for
            five folds; lists all problems.
        ChildProcessError: nnU-Net cannot be asked.
    """
    identifiers = [_require_preprocessed_data(dataset, name, configuration) for name in plans]
    adopt_splits(dataset)
    answer = _ask_process(dataset, identifiers[0], trainers)
    if answer["problems"]:
        raise ValueError("\n".join(answer["problems"]))
    del answer["problems"]
    largest = answer.pop("largest_batches")
    return Preparation(**answer, notices=_notices(dataset, configuration, plans=plans, largest=largest))


def _ask_process(dataset: Path, identifier: str, trainers: Sequence[str]) -> dict[str, Any]:
    """Run ``_answer`` in a process of its own and return what it returns."""
    process = subprocess.run(
        [sys.executable, "-m", __name__, str(dataset), identifier, *trainers],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ChildProcessError(f"nnU-Net cannot be asked for its trainers: {reason}. Try: nnunet-mamba doctor")
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answer


def _notices(
    dataset: Path, configuration: str, *, plans: Sequence[str], largest: Mapping[str, int | None]
) -> dict[tuple[str, str], str]:
    found = {}
    for name in plans:
        content = read_json_object(dataset / f"{name}.json")
        batch_size = inherited(content["configurations"], configuration)["batch_size"]
        for trainer, limit in largest.items():
            notice = large_batch_notice(trainer, content, configuration, batch_size=batch_size, largest=limit)
            if notice is not None:
                found[trainer, name] = notice
    return found


def _require_preprocessed_data(dataset: Path, plans: str, configuration: str) -> str:
    """Return the name of the folder of preprocessed data; raise if it or the plans cannot be trained with."""
    file = dataset / f"{plans}.json"
    if not file.is_file():
        known = sorted(path.stem for path in dataset.glob("*Plans*.json"))
        raise ValueError(
            f"{dataset} has no plans {plans!r}; there are {', '.join(known) or 'none'}, choose with `plans`"
        )
    content = read_json_object(file)
    # nnU-Net names the folder of the results after the entry, not after the file.
    for key, wanted in (("plans_name", plans), ("dataset_name", dataset.name)):
        if content.get(key) != wanted:
            raise ValueError(
                f'{file} has "{key}": {json.dumps(content.get(key))}, expected "{wanted}", by which nnU-Net would call '
                "the folder of the results; correct the entry, as in a copy of other plans"
            )
    configurations = content.get("configurations")
    if not isinstance(configurations, Mapping) or configuration not in configurations:
        known = sorted(configurations) if isinstance(configurations, Mapping) else []
        raise ValueError(f"{file} has no configuration {configuration!r}; there are {', '.join(known) or 'none'}")
    needs = ("data_identifier", "patch_size", "batch_size")
    refuse_senseless_plans(content, configuration, where=str(file), needs=needs)
    identifier = data_identifier(inherited(configurations, configuration), where=str(file))
    if not (dataset / identifier).is_dir():
        raise ValueError(
            f"{dataset / identifier} does not exist: the data are not preprocessed for {plans}, {configuration}. "
            f"Do it first: nnUNetv2_preprocess -d {dataset_number(dataset.name)} -plans_name {plans} -c {configuration}"
        )
    return identifier


def _answer(dataset: Path, identifier: str, trainers: Sequence[str]) -> dict[str, Any]:
    """Return the parts of a ``Preparation``, and the problems that stand in the way."""
    import torch
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE, named_teacher
    from nnunet_mamba.training.preset_trainer import PresetTrainer

    problems, ours = [], {}
    for trainer in trainers:
        try:
            found = recursive_find_trainer_class_by_name(trainer)
        # Our trainers raise ValueError for a wrong suffix of the name, nnU-Net AssertionError for other classes.
        except (RuntimeError, ValueError, AssertionError) as error:
            own_word = isinstance(error, ValueError)
            problems.append(
                str(error) if own_word else f"nnU-Net finds no trainer {trainer!r}. Names are in: nnunet-mamba list"
            )
            continue
        # Other trainers than ours learn from none, and take any batch.
        if issubclass(found, PresetTrainer):
            ours[trainer] = found
            try:
                found.require_packages()
            except ModuleNotFoundError as error:
                problems.append(f"{trainer}: {error}")
    problems += _refused_settings(ours)
    teachers, teacher_fold = _teachers(ours), None
    if teachers and (named := os.environ.get(TEACHER_VARIABLE)):
        # It is trained already, so nobody waits for it.
        teachers = {}
        try:
            teacher_fold = fold_of_dataset(named_teacher(named), dataset.name)
        except ValueError as error:
            problems.append(str(error))
    splits = dataset / SPLITS_FILE
    try:
        n_folds = len(read_splits(splits)) if splits.exists() else _write_five_folds(dataset, identifier)
    except ValueError as error:
        n_folds = 0
        problems.append(str(error) if str(splits) in str(error) else f"{splits}: {error}")
    gpus = torch.cuda.device_count()
    return {
        **{"problems": problems, "n_folds": n_folds, "n_gpus": gpus},
        **{"teachers": teachers, "teacher_fold": teacher_fold},
        "largest_batches": {name: found.recipe.largest_batch_size for name, found in ours.items()},
    }


def _refused_settings(ours: "Mapping[str, type[PresetTrainer]]") -> list[str]:
    """Return what stands in the way of those of our trainers that learn from another network, in their settings."""
    from nnunet_mamba.training.distillation.trainer import DistillationTrainer

    refused: dict[str, list[str]] = {}
    for name, trainer in ours.items():
        if issubclass(trainer, DistillationTrainer):
            try:
                trainer.chosen_settings()
            except ValueError as error:
                refused.setdefault(str(error), []).append(name)
    return [f"{' and '.join(names)}: {problem}" for problem, names in refused.items()]


def _teachers(ours: "Mapping[str, type[PresetTrainer]]") -> dict[str, list[str]]:
    """Return for each of our trainers that learns from another network the trainers of that one."""
    return {
        student: _same_seed_first(
            student,
            [
                name
                for name, found in ours.items()
                if found.preset is trainer.teacher_preset and found.variant_of_name is None
            ],
        )
        for student, trainer in ours.items()
        if trainer.teacher_preset is not None
    }


def _same_seed_first(student: str, teachers: list[str]) -> list[str]:
    """Return the teachers of the student's own seed, all of them if there is none."""
    seed = TrainerName.parse(student).seed
    return [teacher for teacher in teachers if TrainerName.parse(teacher).seed == seed] or teachers


def _write_five_folds(dataset: Path, identifier: str) -> int:
    """Write the splits that nnU-Net's trainers would make."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    folder = str(dataset / identifier)
    cases = sorted(infer_dataset_class(folder).get_identifiers(folder))
    if len(cases) < 5:
        raise ValueError(
            f"there are {len(cases)} training cases, and nnU-Net's five folds need five; write splits with fewer folds "
            "there, as nnunet-mamba convert does"
        )
    # Seed and number of folds are those of nnU-Net's trainers.
    folds = generate_crossval_split(cases, seed=12345, n_splits=5)
    splits = [{side: [str(case) for case in fold[side]] for side in fold} for fold in folds]
    with replacing(dataset / SPLITS_FILE) as temporary:
        temporary.write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")
    return len(splits)


def _main() -> None:
    dataset, identifier, *trainers = sys.argv[1:]
    # nnU-Net prints where it searches.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        answer = _answer(Path(dataset), identifier, trainers)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
