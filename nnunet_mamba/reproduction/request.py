"""What a user asks for: a table, the files, and how much of it is run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nnunet_mamba.published_results import DATASETS
from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments import EXPERIMENTS

_BUDGET = re.compile(r"([1-9]\d*)epochs?(?:_([1-9]\d*)iterations?)?")

_ROMAN = {str(number): roman for number, roman in enumerate(("i", "ii", "iii", "iv", "v", "vi", "vii"), start=1)}
_OTHER_NUMERALS = {**_ROMAN, **{roman: number for number, roman in _ROMAN.items()}}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long each network trains.

    Args:
        epochs: of the training.
        iterations: of an epoch; None for nnU-Net's 250.
    """

    epochs: int
    iterations: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Return the budget that a text such as "20epochs" or "1epochs_2iterations" means, as in a trainer's name.

        Raises:
            ValueError: it is no such text.
        """
        if (found := _BUDGET.fullmatch(text)) is None:
            raise ValueError(f"`budget` {text!r} is none, expected such as 20epochs or 1epochs_2iterations")
        return cls(epochs=int(found[1]), iterations=int(found[2]) if found[2] else None)

    @property
    def suffix(self) -> str:
        """The budget as a trainer's name and a folder's have it, 20epochs_50iterations."""
        return f"{self.epochs}epochs" + ("" if self.iterations is None else f"_{self.iterations}iterations")

    def __str__(self) -> str:
        """Return the budget as a sentence has it."""
        of_epoch = "" if self.iterations is None else f" of {self.iterations} iterations"
        return f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}{of_epoch}"


@dataclass(frozen=True, kw_only=True)
class ReproductionRequest:
    """What is asked for.

    Args:
        experiment: of the table.
        output: folder for the table, the figures and the logs.
        places: folders of the files, by data set.
        rows: lists of methods as printed, with commas between them; empty for all.
        budget: None for that of the recipe.
        repeats: seeds of each training.
        device: "cpu" or "cuda"; None takes CUDA where there is a device.
        memory: GiB that a training may take; None takes most of what is free.
        label_numbering: of TransUNet's files of Synapse.
        skip_invalid: leave images with problems out.
        progress: show it on standard error.
    """

    experiment: Experiment
    output: Path
    places: Mapping[str, Path]
    rows: Sequence[str] = ()
    budget: Budget | None = None
    repeats: int = 1
    device: str | None = None
    memory: float | None = None
    label_numbering: str | None = None
    skip_invalid: bool = False
    progress: bool = False


def find_experiment(name: str) -> Experiment:
    """Return the experiment of a table.

    Args:
        name: of ``EXPERIMENTS``, in any case, with its number as the paper prints it or in other numerals.

    Raises:
        ValueError: there is none; names the nearest ones.
    """
    paper, _, number = name.lower().rpartition("-")
    for spelled in (name.lower(), f"{paper}-{_OTHER_NUMERALS.get(number, number)}"):
        if (found := EXPERIMENTS.get(spelled)) is not None:
            return found
    nearest = get_close_matches(name.lower(), EXPERIMENTS, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(nearest)}?" if nearest else f"expected one of {', '.join(EXPERIMENTS)}"
    raise ValueError(f"{name!r} is no table of the papers: {meant}")


def default_output(experiment: Experiment, budget: Budget | None) -> Path:
    """Return the folder of a run whose user names none: trials do not replace the table of whole trainings."""
    return Path(experiment.name if budget is None else f"{experiment.name}-{budget.suffix}")


def places_of(texts: Sequence[str], experiment: Experiment) -> dict[str, Path]:
    """Return the folders of the data sets.

    Args:
        texts: a folder alone where the experiment takes one data set, otherwise NAME=FOLDER for each.
        experiment: whose data they are.

    Raises:
        ValueError: a text names no data set of the experiment, or one twice.
        FileNotFoundError: a folder or archive does not exist.
    """
    wanted = list(experiment.data)
    places: dict[str, Path] = {}
    for text in texts:
        name, _, place = text.partition("=")
        if name not in DATASETS or not place:
            name, place = wanted[0], text
            if len(wanted) > 1:
                named = " ".join(f"`data={one}=FOLDER`" for one in wanted)
                raise ValueError(f"`data` {text} does not tell which of {', '.join(wanted)} it is: {named}")
        if name not in wanted:
            raise ValueError(f"`data` {text}: {experiment.name} takes {', '.join(wanted)}")
        if name in places:
            raise ValueError(f"`data` names {name} twice, {places[name]} and {place}; name one folder")
        if not Path(place).exists():
            raise FileNotFoundError(f"`data` {name}: there is no {place}; name the folder or archive of its files")
        places[name] = Path(place)
    return places
