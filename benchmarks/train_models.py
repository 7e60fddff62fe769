"""Train the models that come with nnunet-mamba on ISIC 2017, score them, and put them into the package.

    python benchmarks/train_models.py ISIC2017 --folder FOLDER [--models ultralight-isic ...] [--epochs 100]
                                      [--test NAME CONVERTER SOURCE] ... [--output nnunet_mamba/models/shipped]

ISIC2017 is the folder with the challenge's training and validation parts, under ISIC's names, centre-cropped to squares
or whole. The validation part validates; a test part is not used. Everything lies in --folder: started again, the
command continues where it was interrupted, a training by nnU-Net's --c. A model is taught by the teacher that lies in
--output; where none does, or where --models asks for the teacher too, the teacher is trained before it. --test may be
repeated: --test PH2 ph2 /data/PH2Dataset scores with photographs that are not trained on.

Each model is a stock nnUNetv2_train with its seed (NNUNET_MAMBA_SEED); what it is trained with stands in
model_trainings/models.py. 100 epochs take about two hours on two idle cores, and a model is 300 kilobytes at most. The
best one by the Dice of the validation part, mean over cases, gets the short name. Linux only, as benchmarks/epoch.py.
"""

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from model_trainings.models import ALIAS, CARD_WORDS, MODELS, NNUNETS_ITERATIONS, ModelOfTheWheel
from model_trainings.packing import Statements, give_alias, put_into
from model_trainings.scoring import VALIDATION, test_scores, validation_scores
from model_trainings.test_sets import SIDE, TestSet
from stock_runs.checkouts import Checkout
from stock_runs.planned_data import planned_data
from stock_runs.seeded_training import SeededTraining
from stock_runs.watched_process import run
from timing import machine

from nnunet_mamba.data.splits.split_files import SPLITS_FILE
from nnunet_mamba.demo.steps import program
from nnunet_mamba.models.bundles.model_json import WEIGHTS_FILE
from nnunet_mamba.models.bundles.reading import is_bundle
from nnunet_mamba.models.shipped_models import shipped_folder
from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE
from nnunet_mamba.training.plans_names import plans_name

DATASET = "Dataset017_ISIC2017"
BATCH = 8
DECIDES = "mean over cases"


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with ISIC 2017's training and validation parts")
    parser.add_argument("--folder", type=Path, required=True, help="gets everything, and continues what is in it")
    names = [model.name for model in MODELS]
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=NNUNETS_ITERATIONS, help="training batches of an epoch")
    parser.add_argument("--test", nargs=3, action="append", default=[], metavar=("NAME", "CONVERTER", "SOURCE"))
    parser.add_argument("--output", type=Path, default=shipped_folder(), help="gets a folder for each model")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    options = parser.parse_args(arguments)
    for name in ("epochs", "iterations"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name} {value}: expected at least 1")
    options.tests = [TestSet(name, converter, Path(source).resolve()) for name, converter, source in options.test]
    return options


def converted(source: Path, root: Path, checkout: Checkout) -> None:
    """Convert the challenge's parts, unless that is done; its validation part validates.

    Args:
        source: folder of the parts.
        root: gets nnUNet_raw.
        checkout: whose command converts.

    Raises:
        RuntimeError: the command failed; the text has its last lines.
    """
    raw = root / "nnUNet_raw"
    if (raw / DATASET / SPLITS_FILE).is_file():
        return
    raw.mkdir(parents=True, exist_ok=True)
    number, _, name = DATASET.removeprefix("Dataset").partition("_")
    command = [program("nnunet-mamba"), "convert", "isic", str(source), "--size", str(SIDE), "--sigmoid"]
    command += ["--split", "challenge", "--dataset-id", number, "--name", name, "--output", str(raw), "--no-progress"]
    run(command, checkout.environment(root), output=root / "conversion.txt")


def in_order(names: Sequence[str], shipped: Path) -> list[ModelOfTheWheel]:
    """Return the models to train, after their teachers, which are trained unless they lie among the shipped ones.

    Args:
        names: of the wanted models.
        shipped: the folder of models.
    """
    teachers = {model.teacher for model in MODELS if model.name in names and model.teacher is not None}
    wanted = {*names, *(teacher for teacher in teachers if not is_bundle(shipped / teacher))}
    return sorted((model for model in MODELS if model.name in wanted), key=lambda model: model.teacher is not None)


def taught_by(model: ModelOfTheWheel, trainings: Mapping[str, SeededTraining], shipped: Path) -> dict[str, str]:
    """Return the environment variable that names a model's teacher; without a teacher, none.

    Args:
        model: the pupil, or a model without a teacher.
        trainings: finished ones, by the name of their model.
        shipped: the folder of models, which has the teacher if it was not trained here.
    """
    if model.teacher is None:
        return {}
    training = trainings.get(model.teacher)
    return {TEACHER_VARIABLE: str(shipped.resolve() / model.teacher if training is None else training.model_folder)}


def data_words(root: Path) -> str:
    """Return in a sentence which files a model was trained with.

    Args:
        root: holds nnUNet_raw.
    """
    raw = root / "nnUNet_raw" / DATASET
    files = sorted(file for folder in ("imagesTr", "labelsTr") for file in (raw / folder).iterdir())
    listed = "".join(f"{sha256(file.read_bytes()).hexdigest()}  {file.parent.name}/{file.name}\n" for file in files)
    return (
        f"\nThe {len(files)} converted files have the SHA-256 {sha256(listed.encode()).hexdigest()}: that of the "
        "listing which sha256sum prints of imagesTr and labelsTr, sorted by name."
    )


def teacher_words(model: ModelOfTheWheel, shipped: Path) -> str:
    """Return in a sentence who taught a model; nothing for one without a teacher.

    Args:
        model: the pupil, or a model without a teacher.
        shipped: the folder of models, which has the teacher.
    """
    if model.teacher is None:
        return ""
    weights = sha256((shipped / model.teacher / WEIGHTS_FILE).read_bytes()).hexdigest()
    return f"\n\nIt was distilled from {model.teacher}, whose weights have the SHA-256 {weights}."


def main(arguments: list[str] | None = None) -> None:
    """Train, score and pack what is not yet done."""
    options = options_of(arguments)
    # As Ctrl-C does: what was started ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    checkout = Checkout("here", Path(__file__).resolve().parents[1])
    root = options.folder.resolve()
    root.mkdir(parents=True, exist_ok=True)
    checkout.refuse_if_not_used(root)
    print(machine())
    print(f"commit,{checkout.commit()}", flush=True)
    converted(options.source.resolve(), root, checkout)
    models = in_order(options.models, options.output)
    trainers = [model.trainer for model in models]
    data = planned_data(root, checkout, source=None, n_cases=0, trainers=trainers, batch_size=BATCH)
    trainings: dict[str, SeededTraining] = {}
    for model in models:
        training = SeededTraining(
            root=root,
            checkout=checkout,
            data=data,
            trainer=model.trainer_name(options.epochs, options.iterations),
            plans=plans_name(model.trainer, "nnUNetPlans"),
            fold=0,
            seed=model.seed,
            device=options.device,
            variables=taught_by(model, trainings, options.output),
        )
        print(f"{model.name}: {training.trainer}", file=sys.stderr, flush=True)
        training.train()
        trainings[model.name] = training
        scores = list(validation_scores(training, model.postprocessing))
        for test in options.tests:
            datasets = test.prepared(root / "tests", checkout)
            scores += test_scores(training, test.name, datasets, model.postprocessing)
        learned = data_words(root) + teacher_words(model, options.output)
        words = CARD_WORDS.read_text(encoding="utf-8").replace("\n## Limits", f"{learned}\n\n## Limits")
        statements = Statements(words=words, scores=scores, postprocessing=model.postprocessing)
        made = put_into(options.output, model.name, training, statements, scratch=root / "packed")
        print(f"{model.name},{made}", flush=True)
        for score in scores:
            print(f"{model.name},{score.data},{score.protocol},{score.metric},{score.value},{score.n}", flush=True)
    print(f"{ALIAS},{give_alias(options.output, ALIAS, data=VALIDATION, protocol=DECIDES)}")


if __name__ == "__main__":
    main()
