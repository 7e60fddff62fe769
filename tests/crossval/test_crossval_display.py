import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from nnunet_mamba.crossval.display import Display, seconds_left, status_table
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


def test_the_repeats_of_a_training_show_their_seeds_and_take_as_long_as_each_other(stub):
    statuses = [
        Status(run=stub.run(trainer="A_seed1"), state="training", progress=PROGRESS),
        Status(run=stub.run(trainer="A_seed2")),
        Status(run=stub.run(trainer="B"), state="done", progress=Progress(n_done=9, n_epochs=9, epoch_seconds=99)),
    ]
    lines = text_of(status_table(statuses, jobs=1)).splitlines()
    assert [[cell.strip() for cell in re.split("[│┃]", line)][:3] for line in (lines[0], *lines[2:5])] == [
        ["trainer", "seed", "fold"],
        ["A", "1", "0"],
        ["A", "2", "0"],
        ["B", "", "0"],
    ]
    assert seconds_left(statuses, jobs=1) == 180 + 300


def test_where_there_is_no_room_for_all_runs_those_at_work_are_shown(stub):
    states = ["done", "waiting", "failed", "training", "waiting"]
    statuses = [Status(run=stub.run(fold), state=state) for fold, state in enumerate(states)]
    console = Console(file=io.StringIO(), width=120, height=7, force_terminal=True, color_system=None)
    with Display(statuses, jobs=1, console=console) as display:
        display.show()
        shown = console.file.getvalue()
    assert re.findall(r"A +│ +(\d) │ (\w+)", shown) == [("1", "waiting"), ("2", "failed"), ("3", "training")]
    assert "1 of 5 done, 2 not shown" in shown
