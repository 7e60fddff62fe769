import io
import math
import re

from rich.console import Console

from nnunet_mamba.crossval.outcome import Score
from nnunet_mamba.crossval.score_tables import fold_table, seed_table


def cells_of(table):
    """Return the title, and the cells of the heading and of all rows."""
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    title, heading, _, *rows = console.file.getvalue().splitlines()
    return title.strip(), [[cell.strip() for cell in re.split("[│┃]", line)] for line in (heading, *rows)]


def test_scores_show_missing_folds_and_no_deviation_of_one():
    scores = [Score(model="A", dice={0: 0.7, 1: 0.9}), Score(model="B", dice={1: 0.5})]
    assert cells_of(fold_table(scores, [0, 1])) == (
        "Dice of the final validations",
        [
            ["trainer", "fold 0", "fold 1", "mean ± SD over folds"],
            ["A", "0.700", "0.900", "0.800 ± 0.141"],
            ["B", "–", "0.500", "0.500"],
        ],
    )


def test_over_seeds_every_trainer_shows_its_own():
    scores = [Score(model="A", dice={1: 0.7, 2: 0.9}), Score(model="B", dice={2: 0.5, 10: math.nan})]
    assert cells_of(seed_table(scores)) == (
        "Dice over seeds, of each the mean over its folds",
        [
            ["trainer", "seed 1", "seed 2", "seed 10", "mean ± SD over seeds"],
            ["A", "0.700", "0.900", "–", "0.800 ± 0.141"],
            ["B", "–", "0.500", "–", "0.500"],
        ],
    )
