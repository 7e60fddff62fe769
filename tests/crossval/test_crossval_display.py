import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from nnunet_mamba.crossval.display import Display, score_table, seconds_left, status_table
from nnunet_mamba.crossval.outcome import Score
from nnunet_mamba.crossval.progress import Progress
from nnunet_mamba.crossval.status import Status
from nnunet_mamba.system.progress import Pace

PROGRESS = Progress(n_done=4, n_epochs=10, train_loss=-0.5, pseudo_dice=0.8126, epoch_seconds=30)


@pytest.fixture
def statuses(stub):
    return [
        Status(run=stub.run(0), state="training", progress=PROGRESS),
        Status(run=stub.run(1)),
        Status(run=stub.run(2), state="done", progress=Progress(n_done=10, n_epochs=10, epoch_seconds=40)),
    ]


def text_of(shown, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    return console.file.getvalue()


def test_the_table_has_a_row_for_every_run_and_the_time_left_for_all(statuses):
    lines = text_of(status_table(statuses, jobs=1)).splitlines()
    cells = [[cell.strip() for cell in line.split("│")] for line in lines[2:5]]
    assert cells == [
        ["A", "0", "training", "4/10", "-0.500", "0.813", "30 s", "3 min"],
        ["A", "1", "waiting", "", "", "", "", ""],
        ["A", "2", "done", "10/10", "", "", "40 s", ""],
    ]
    # 6 epochs of 30 s, and a waiting run that takes what the two known ones take on average, 350 s.
    assert lines[5].strip() == "1 of 3 done, about 9 min of training left"


def test_plans_are_told_where_there_are_several(stub):
    other = Status(run=stub.run())
    object.__setattr__(other.run, "plans", "otherPlans")
    assert "A (otherPlans)" in text_of(status_table([Status(run=stub.run()), other], jobs=1))


def test_the_time_left_counts_what_runs_side_by_side_once(statuses):
    assert seconds_left(statuses, jobs=1) == 180 + 350
    assert seconds_left(statuses, jobs=2) == 350
    assert seconds_left(statuses[2:], jobs=2) == 0
    assert math.isnan(seconds_left(statuses[1:2], jobs=1))


def test_without_a_terminal_every_change_is_one_line_and_so_are_epochs_now_and_then(statuses):
    console = Console(file=io.StringIO(), width=40)
    running, waiting, _ = statuses
    seconds = [0.0]
    running.state = "starting"
    with Display([running, waiting], jobs=1, console=console, pace=Pace(lambda: seconds[-1])) as display:
        display.show()
        running.state = "training"
        display.show()
        for n_done in range(5, 9):
            running.progress = replace(PROGRESS, n_done=n_done)
            display.show()
            seconds.append(seconds[-1] + 12)
            display.show()
        display.show()
        display.show()
        running.progress = Progress(n_done=10, n_epochs=10, epoch_seconds=30)
        running.state = "validating"
        waiting.state = "starting"
        display.show()
        running.state = "done"
        display.show()
    name = "A__nnUNetPlans__2d__fold"
    values = "loss -0.500, pseudo Dice 0.813, per epoch 30 s, left"
    assert console.file.getvalue().splitlines() == [
        f"{name}_0: starting",
        f"{name}_0: epoch 4/10, {values} 3 min",
        f"{name}_0: epoch 5/10, {values} 2 min",
        f"{name}_0: epoch 8/10, {values} 60 s",
        f"{name}_0: validating",
        f"{name}_1: starting",
        f"{name}_0: done",
    ]


def test_on_a_terminal_there_is_one_table(statuses):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with Display(statuses, jobs=1, console=console) as display:
        display.show()
    assert "4/10" in console.file.getvalue()


def test_scores_show_missing_folds_and_no_deviation_of_one():
    table = text_of(score_table([Score(model="A", dice={0: 0.7, 1: 0.9}), Score(model="B", dice={1: 0.5})], [0, 1]))
    cells = [[cell.strip() for cell in line.split("│")] for line in table.splitlines()[3:5]]
    assert cells == [["A", "0.700", "0.900", "0.800 ± 0.141"], ["B", "–", "0.500", "0.500"]]
