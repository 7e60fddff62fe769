import os
import sys

import pytest

from nnunet_mamba.demo.steps import (
    RECORD,
    DemoFailedError,
    DemoStep,
    claim_folder,
    program,
    run_command,
    run_steps,
)

CONTENTS = ("made", "logs")


class Recorder:
    def __init__(self):
        self.events = []

    def started(self, step):
        self.events.append(("started", step.name))

    def line(self, step, text):
        self.events.append(("line", text))

    def finished(self, step, seconds, *, was_done):
        self.events.append(("was done" if was_done else "finished", step.name))

    def ran(self):
        return [name for event, name in self.events if event == "started"]


def python_step(folder, name, code, *, command=None, makes=None):
    made = folder / "made" / (makes or name)

    def action(on_line):
        made.parent.mkdir(exist_ok=True)
        run_command(
            [sys.executable, "-S", "-c", code, str(made)],
            on_line,
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
            log=folder / "logs" / f"{name}.log",
            shown=command or f"python {name}",
        )

    return DemoStep(name=name, title=name, command=command or f"python {name}", action=action, makes=(made,))


WRITE = "import sys; open(sys.argv[1], 'a').write('x'); print('wrote')"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "demo"
    claim_folder(folder, fresh=False, contents=CONTENTS)
    return folder


def run(folder, *steps):
    recorder = Recorder()
    run_steps(folder, steps, recorder)
    return recorder


def test_refuses_a_folder_with_other_content_and_leaves_it_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(FileExistsError, match=r"thesis\.txt"):
            claim_folder(tmp_path, fresh=fresh, contents=("thesis.txt",))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_refuses_a_folder_whose_record_is_not_the_demos(tmp_path):
    (tmp_path / RECORD).write_text('{"steps": []}')
    with pytest.raises(FileExistsError):
        claim_folder(tmp_path, fresh=True, contents=CONTENTS)
    assert (tmp_path / RECORD).is_file()


def test_refuses_a_file(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(OSError, match=r"is a file; name a folder for the demo with `folder`$"):
        claim_folder(tmp_path / "demo", fresh=False, contents=CONTENTS)


def test_takes_an_empty_folder(tmp_path):
    claim_folder(tmp_path, fresh=False, contents=CONTENTS)
    assert (tmp_path / RECORD).is_file()


def test_fresh_deletes_what_the_demo_made_and_nothing_else(folder, tmp_path):
    run(folder, python_step(folder, "a", WRITE))
    (folder / "notes.txt").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("")
    (folder / "linked").symlink_to(elsewhere)
    claim_folder(folder, fresh=True, contents=(*CONTENTS, "linked"))
    assert sorted(path.name for path in folder.iterdir()) == [RECORD, "notes.txt"]
    assert (elsewhere / "kept").exists()


def test_finished_steps_are_not_repeated(folder):
    steps = [python_step(folder, name, WRITE) for name in ("a", "b")]
    assert run(folder, *steps).ran() == ["a", "b"]
    again = run(folder, *steps)
    assert again.events == [("was done", "a"), ("was done", "b")]
    assert (folder / "made" / "a").read_text() == "x"


def test_continues_at_the_step_that_failed(folder):
    first, last = python_step(folder, "a", WRITE), python_step(folder, "c", WRITE)
    with pytest.raises(DemoFailedError):
        run(folder, first, python_step(folder, "b", "raise SystemExit(3)"), last)
    assert run(folder, first, python_step(folder, "b", WRITE), last).ran() == ["b", "c"]


def test_a_changed_command_repeats_its_step_and_all_after_it(folder):
    steps = [python_step(folder, name, WRITE) for name in ("a", "b", "c")]
    run(folder, *steps)
    changed = python_step(folder, "b", WRITE, command="python b --epochs 9")
    assert run(folder, steps[0], changed, steps[2]).ran() == ["b", "c"]


def test_a_lost_result_repeats_its_step_and_all_after_it(folder):
    steps = [python_step(folder, name, WRITE) for name in ("a", "b", "c")]
    run(folder, *steps)
    (folder / "made" / "b").unlink()
    assert run(folder, *steps).ran() == ["b", "c"]


def test_what_an_interrupted_attempt_left_is_removed_first(folder):
    (folder / "made").mkdir()
    (folder / "made" / "a").write_text("half a result")
    run(folder, python_step(folder, "a", WRITE))
    assert (folder / "made" / "a").read_text() == "x"


def test_failure_shows_the_last_lines_and_the_log(folder):
    code = "print('first line')\nfor i in range(30): print('line', i)\nraise RuntimeError('the network is tired')"
    with pytest.raises(DemoFailedError) as caught:
        run(folder, python_step(folder, "a", code, command="train --hard"))
    text = str(caught.value)
    assert "'train --hard' failed (exit code 1)" in text
    assert "the network is tired" in text
    assert "first line" not in text
    log = folder / "logs" / "a.log"
    assert str(log) in text
    assert "first line" in log.read_text()
    assert log.read_text().startswith("$ train --hard\n")


def test_a_command_that_writes_nothing_is_no_success(folder):
    with pytest.raises(DemoFailedError, match="did not write"):
        run(folder, python_step(folder, "a", "print('done')"))


def test_lines_arrive_also_from_progress_bars(folder):
    recorder = run(folder, python_step(folder, "a", WRITE + "; print('1/2', end='\\r'); print('2/2', end='\\r')"))
    lines = [text for event, text in recorder.events if event == "line"]
    assert lines == ["wrote", "1/2", "2/2"]


def test_program_names_a_command_that_is_not_installed():
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        program("no-such-command")


def test_program_is_the_one_beside_the_running_python():
    assert program("nnUNetv2_train").startswith(os.path.dirname(sys.executable))


@pytest.mark.parametrize("steps", ["3", '[{"name": "a"}]', '[{"name": "a", "fingerprint": "f", "seconds": NaN}]'])
def test_a_damaged_record_is_told_and_fresh_starts_over(folder, steps):
    (folder / RECORD).write_text(f'{{"made_by": "nnunet-mamba demo", "steps": {steps}}}')
    with pytest.raises(ValueError, match=rf"{RECORD} is damaged .*; start over with `fresh=True`$"):
        claim_folder(folder, fresh=False, contents=CONTENTS)
    claim_folder(folder, fresh=True, contents=CONTENTS)
    assert run(folder).events == []


def test_a_full_disk_is_told_with_the_step_and_the_way_to_go_on(folder):
    def full(on_line):
        raise OSError(28, "No space left on device", "a.jpg")

    step = DemoStep(name="draw", title="Draw", command="draw", action=full, makes=())
    with pytest.raises(OSError, match=r"No space left on device: a\.jpg, at the step 'Draw'\. .* it continues"):
        run(folder, step)


def test_a_folder_below_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"is a file, expected a folder .*name another folder with `folder`$"):
        claim_folder(tmp_path / "file" / "demo", fresh=False, contents=CONTENTS)
