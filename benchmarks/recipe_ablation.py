"""Train a network with parts of the robust recipe, several times each, and print the Dice of the validation cases.

    python benchmarks/recipe_ablation.py --dataset FOLDER --folder FOLDER [--base nnUNetTrainerUltraLightVM]
                                         [--variants own own+nnunet own+framing ...] [--seeds 1 2 3] [--epochs 30]
                                         [--iterations 250] [--fold 0] [--splits splits_final.json] [--batch-size 8]

A variant is "own", the trainer's own recipe, or "robust", with parts added or taken away. The parts are "nnunet", all
of nnU-Net's own augmentation; "framing", "colour", "light", "optics" and "holes", those of ``photographs``; and "ema",
averaged weights. "robust" has all of them. "stickers", "wide", a wider zoom, and "whole", no patch that nnU-Net moves
beyond its image, are of no recipe yet.

Each run is a stock nnUNetv2_train with its own seed (NNUNET_MAMBA_SEED), and a nnUNetv2_predict --disable_tta of the
fold's validation cases. Both ways to predict are scored, per case and pooled. All of it lies in --folder: started again
with the same options, the command continues where it was interrupted, a training by nnU-Net's --c. Several commands may
share a folder, once it is planned, if no two of them have the same variant and seed.

Choose by these validation cases, and never look at test images meanwhile. A difference that is smaller than the
standard deviations of the seeds is none. Linux only, as benchmarks/epoch.py.
"""

import argparse
import shutil
import signal
import sys
from pathlib import Path

from recipe_ablations.runs import Ablation, Run
from recipe_ablations.score_table import table_lines
from recipe_ablations.variants import Variant
from stock_runs.checkouts import Checkout
from stock_runs.planned_data import planned_data
from timing import machine

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.system.atomic import replacing

VARIANTS = ("own", "own+nnunet", "own+framing", "own+colour+light", "own+optics+holes", "own+ema", "robust")


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="nnU-Net's raw data set, with its dataset.json")
    parser.add_argument("--folder", type=Path, required=True, help="gets everything, and continues what is in it")
    parser.add_argument("--base", choices=trainer_names(), default="nnUNetTrainerUltraLightVM", metavar="TRAINER")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, metavar="VARIANT")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--iterations", type=int, default=250, help="training batches of an epoch")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--splits", type=Path, help="a splits_final.json to use instead of the data set's own")
    parser.add_argument("--batch-size", type=int, help="instead of what nnunet-mamba plan finds")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    options = parser.parse_args(arguments)
    try:
        options.variants = [Variant.parse(text) for text in options.variants]
    except ValueError as error:
        parser.error(f"--variants {error}")
    if not (options.dataset / "dataset.json").is_file():
        parser.error(f"--dataset {options.dataset}: there is no dataset.json in it; name a folder of $nnUNet_raw")
    for name in ("epochs", "iterations"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name} {value}: expected at least 1")
    return options


def place_splits(source: Path, root: Path, dataset: str) -> None:
    """Put splits where nnU-Net reads them.

    Args:
        source: a splits_final.json.
        root: of the ablation.
        dataset: name of the data set's folder.

    Raises:
        ValueError: it is no such file, or runs in the same folder have trained with others.
    """
    wanted, target = read_splits(source), root / "nnUNet_preprocessed" / dataset / SPLITS_FILE
    if any(root.glob("seed_*")) and target.is_file() and read_splits(target) != wanted:
        raise ValueError(f"runs in {root} have trained with other splits than {source}: take another --folder")
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet done, and print the table of what is."""
    options = options_of(arguments)
    # As Ctrl-C does: what was started ends, and the table is printed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    checkout = Checkout("here", Path(__file__).resolve().parents[1])
    root = options.folder.resolve()
    root.mkdir(parents=True, exist_ok=True)
    checkout.refuse_if_not_used(root)
    print(machine())
    print(f"commit,{checkout.commit()}", flush=True)
    data = planned_data(
        root,
        checkout,
        source=options.dataset.resolve(),
        n_cases=0,
        trainers=[options.base],
        batch_size=options.batch_size,
    )
    if options.splits is not None:
        place_splits(options.splits, root, data.dataset)
    ablation = Ablation(
        root=root,
        checkout=checkout,
        data=data,
        base=options.base,
        epochs=options.epochs,
        iterations=options.iterations,
        fold=options.fold,
        device=options.device,
    )
    # Seed by seed, so that an interrupted ablation has compared all variants once.
    runs = [Run(ablation, variant, seed) for seed in options.seeds for variant in options.variants]
    try:
        for run in runs:
            run.do()
            print(f"{run.variant.text}, seed {run.seed}: {run.scores()}", file=sys.stderr, flush=True)
    finally:
        # An error after hours takes no figures away.
        found = {variant.text: [run.scores() for run in runs if run.variant == variant] for variant in options.variants}
        print(*table_lines({text: [one for one in scores if one] for text, scores in found.items()}), sep="\n")


if __name__ == "__main__":
    main()
