"""What the user asked for: which data set, trainers, plans and folds."""

import re
from collections.abc import Sequence
from pathlib import Path

from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.data.splits.validated_cases import other_validation
from nnunet_mamba.results.summaries import scored_cases
from nnunet_mamba.system.nnunet_folders import dataset_number
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.plans_names import plans_name
from nnunet_mamba.training.seed_choice import seed_of_training

OWN_PLANS = "own"
BASE_PLANS = "nnUNetPlans"
_FOLDS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_SHOWN = 5


def find_dataset(name_or_id: str, preprocessed: Path) -> str:
    """Return the name of a preprocessed data set's folder.

    Args:
        name_or_id: "Dataset101_ISIC" or "101".
        preprocessed: ``$nnUNet_preprocessed``.

    Raises:
        ValueError: there is none, or more than one.
    """
    known = sorted(path.name for path in preprocessed.glob("Dataset*") if path.is_dir())
    if name_or_id.isdecimal():
        found = [name for name in known if dataset_number(name) == int(name_or_id)]
    else:
        found = [name for name in known if name == name_or_id]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{name_or_id} is the number of {' and '.join(found)} in {preprocessed}; give the name")
    raise ValueError(
        f"There is no data set {name_or_id!r} in {preprocessed}, which holds {', '.join(known) or 'none'}. "
        f"Preprocess it first: nnUNetv2_plan_and_preprocess -d {name_or_id}"
    )


def repeated_trainers(trainers: Sequence[str], repeats: int | None) -> list[str]:
    """Return the trainers to run: as they are, or each with the seeds 1, 2, … in its name.

    All trainers of a seed come before those of the next one, so that what is complete first can be compared.

    Args:
        trainers: class names.
        repeats: number of seeds, None to leave the names alone.

    Raises:
        ValueError: a trainer has a seed already, or is not of nnunet-mamba and has none.
    """
    if repeats is None:
        return list(trainers)
    names = {trainer: TrainerName.parse(trainer) for trainer in trainers}
    if others := [trainer for trainer, name in names.items() if not name.is_ours]:
        raise ValueError(
            f"`repeats={repeats}` trains with seeds, and {' and '.join(others)} takes none: nnU-Net has no seeds, and "
            "one results folder for all runs of a trainer. Leave `repeats` to trainers of nnunet-mamba, and train "
            "others in a call without it"
        )
    if seeded := [trainer for trainer, name in names.items() if name.seed is not None]:
        raise ValueError(
            f"`repeats={repeats}` adds the seeds to the names, and {' and '.join(seeded)} has one already; leave "
            f"'_seed{names[seeded[0]].seed}' out, or `repeats`"
        )
    return [str(name.with_seed(seed)) for seed in range(1, repeats + 1) for name in names.values()]


def refuse_two_seeds(trainers: Sequence[str]) -> None:
    """Raise before trainings begin that would end at once, for the environment gives them another seed.

    Args:
        trainers: class names; those that are not of nnunet-mamba have no seed.

    Raises:
        ValueError: ``NNUNET_MAMBA_SEED`` is no seed, or another one than in a name.
    """
    for trainer in trainers:
        name = TrainerName.parse(trainer)
        if name.is_ours:
            seed_of_training(trainer, name.seed)


def pair_models(trainers: Sequence[str], plans: Sequence[str], dataset: Path) -> list[tuple[str, str]]:
    """Return each trainer with each of the plans, or with the plans that ``nnunet-mamba plan`` made for it.

    ``nnunet-mamba plan`` makes none for nnU-Net's trainers, so nnU-Net's plans are their own.

    Args:
        trainers: class names.
        plans: names of plans, or "own" alone.
        dataset: ``$nnUNet_preprocessed/DatasetXXX_Name``.

    Raises:
        ValueError: a trainer has no plans of its own, or "own" is not alone.
    """
    if OWN_PLANS not in plans:
        return [(trainer, name) for trainer in trainers for name in plans]
    if len(plans) > 1:
        raise ValueError(f"`plans` {','.join(plans)}: {OWN_PLANS} stands alone, it is not the name of plans")
    # Only our trainers get plans of their own.
    models = [
        (trainer, plans_name(trainer, BASE_PLANS) if TrainerName.parse(trainer).is_ours else BASE_PLANS)
        for trainer in trainers
    ]
    if missing := [(trainer, name) for trainer, name in models if not (dataset / f"{name}.json").is_file()]:
        files = dict.fromkeys(f"{name}.json" for _, name in missing)
        # All seeds of a trainer share its plans.
        without = dict.fromkeys(str(TrainerName.parse(trainer).with_seed(None)) for trainer, _ in missing)
        raise ValueError(
            f"`plans={OWN_PLANS!r}`: {dataset} has no {' and no '.join(files)}. "
            f"Make them first: nnunet-mamba plan {dataset.name} --trainers {','.join(without)}"
        )
    return models


def refuse_missing_device(device: str | None, *, executor: str, n_gpus: int, n_slurm_gpus: int) -> None:
    """Raise before trainings are told to use CUDA where there is none: ours would take the CPU, for days.

    The machine that submits Slurm jobs need not have a GPU; each job looks for its own.

    Args:
        device: that the user asked for, None for any.
        executor: "local" or "slurm".
        n_gpus: that torch sees here.
        n_slurm_gpus: that each job asks Slurm for.

    Raises:
        ValueError: there will be no CUDA device.
    """
    if device != "cuda":
        return
    if executor == "local" and not n_gpus:
        raise ValueError(
            "`device='cuda'`: torch finds no CUDA device here (nnunet-mamba doctor tells more). Pass `device='cpu'`, "
            "or run it where there is one"
        )
    if executor == "slurm" and not n_slurm_gpus:
        raise ValueError(
            "`device='cuda'`: with `slurm_gpus=0` the jobs get no GPU. Pass `slurm_gpus=1`, or `device='cpu'`"
        )


def refuse_teacher_of_other_folds(teacher_fold: str | None, folds: Sequence[int]) -> None:
    """Raise before students learn from a teacher that was trained with the cases that they are validated with.

    Args:
        teacher_fold: the only fold whose teacher they would get, None if there is no such limit.
        folds: to train.

    Raises:
        ValueError: a student of another fold is among them.
    """
    if teacher_fold is not None and (others := [fold for fold in folds if str(fold) != teacher_fold]):
        raise ValueError(
            f"NNUNET_MAMBA_TEACHER names the teacher of fold {teacher_fold}, which was trained with cases that fold "
            f"{others[0]} validates with. Name the folder that holds all of its folds, one level up: every student "
            "then learns from the teacher of its own fold"
        )


def refuse_other_splits(runs: Sequence[Run]) -> None:
    """Raise if complete runs were validated by another split, before the others are trained by this one.

    Args:
        runs: of one data set.

    Raises:
        ValueError: some were; tells which cases show it.
    """
    complete: dict[Path, list[Run]] = {}
    for run in runs:
        if run.phase() == "complete":
            complete.setdefault(run.folder.parent, []).append(run)
    for folder, of_training in complete.items():
        found = {str(run.fold): scored_cases(run.summary) for run in of_training}
        validated = {fold: cases for fold, cases in found.items() if cases}
        if problem := other_validation(of_training[0].dataset, validated):
            raise ValueError(f"{folder}: {problem}. To train by this split, move the folder away first")


def parse_folds(text: str, n_folds: int) -> list[int]:
    """Return the folds that a text such as "0-4", "0,2" or "all" means.

    Args:
        text: numbers and ranges with commas between them, or "all".
        n_folds: that splits_final.json has.

    Raises:
        ValueError: the text says something else, or names a fold that is not there.
    """
    if text == "all":
        return list(range(n_folds))
    folds: set[int] = set()
    missing: set[int] = set()
    for part in text.split(","):
        found = _FOLDS.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"`folds` {text!r} is no list of folds, expected one such as 0-4, 0,2 or all")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"`folds` {text!r} has the range {part.strip()} that ends before it begins")
        folds.update(range(first, min(last + 1, n_folds)))
        # Not all of them: a range may name a thousand million.
        missing.update(range(max(first, n_folds), min(last + 1, max(first, n_folds) + _SHOWN + 1)))
    if missing:
        raise ValueError(
            f"`folds` {text!r} asks for {_numbers('fold', sorted(missing))}, and splits_final.json has {n_folds}: "
            f"0 to {n_folds - 1}. nnU-Net would train a random split instead"
        )
    return sorted(folds)


def _numbers(noun: str, values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
    return f"{noun}{'s' if len(values) > 1 else ''} {shown}"
