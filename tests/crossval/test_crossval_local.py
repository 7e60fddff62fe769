import errno
import json
import textwrap
from types import SimpleNamespace

import pytest

from nnunet_mamba.crossval.attempt import Attempt, TrainingShare
from nnunet_mamba.crossval.gpu_sharing import GIB
from nnunet_mamba.crossval.local import LocalRuns
from nnunet_mamba.crossval.progress import ProgressReader
from nnunet_mamba.crossval.status import statuses_of

# Fails where a test would otherwise wait forever.
WAIT_FOR = """
import time
end = time.monotonic() + 60
while not {condition}:
    assert time.monotonic() < end, "waited in vain"
    time.sleep(0.01)
"""


def wait_for(condition: str) -> str:
    return WAIT_FOR.format(condition=condition)


def ignore(text=None):
    pass


def train(stub, runs, *, jobs=1, cores=4, gpus=(), show=ignore, tell=ignore, teachers=None, **options):
    statuses = statuses_of(runs, npz=options.get("npz", False), teachers=teachers)
    local = LocalRuns(statuses, stub.options(**options), jobs=jobs, cores=cores, gpus=gpus, tell=tell)
    local.run(show, poll_seconds=0.02)
    return statuses


def test_all_runs_are_trained_with_the_arguments_of_nnunet(stub):
    runs = [stub.run(fold, trainer) for trainer in "AB" for fold in range(2)]
    statuses = train(stub, runs, jobs=2)

    assert [status.state for status in statuses] == ["done"] * 4
    assert all(status.progress.n_done == 3 for status in statuses)
    assert [run.dice() for run in runs] == [0.5, 0.6, 0.5, 0.6]
    (start,) = stub.starts(runs[3])
    assert start["arguments"] == ["Dataset901_Tiny", "2d", "1", "-tr", "B", "-p", "nnUNetPlans", "-device", "cpu"]
    assert "nnUNetv2_train Dataset901_Tiny 2d 1 -tr B -p nnUNetPlans -device cpu" in runs[3].log.read_text()


def test_what_is_complete_is_not_repeated(stub):
    runs = [stub.run(fold) for fold in range(2)]
    train(stub, runs[:1])
    train(stub, runs)
    assert [len(stub.starts(run)) for run in runs] == [1, 1]


def test_what_was_interrupted_continues(stub):
    run = stub.run()
    stub.behave(run, at=2, do="sys.exit(7)")
    (status,) = train(stub, [run])
    assert status.state == "failed"
    assert status.progress.n_done == 2

    stub.behave_well()
    (status,) = train(stub, [run])
    assert status.state == "done"
    assert [start["arguments"][-1] for start in stub.starts(run)] == ["cpu", "--c"]
    assert run.log.read_text().count("=== attempt ") == 2


def test_a_training_without_validation_is_only_validated(stub):
    run = stub.run()
    train(stub, [run])
    run.summary.unlink()
    train(stub, [run])
    assert [start["arguments"][-1] for start in stub.starts(run)] == ["cpu", "--val"]


def test_a_summary_that_was_cut_is_written_again(stub):
    run = stub.run()
    train(stub, [run])
    run.summary.write_text(run.summary.read_text()[:10])
    (status,) = train(stub, [run])
    assert status.state == "done"
    assert stub.starts(run)[1]["arguments"][-1] == "--val"
    assert run.dice() == 0.5


def test_probabilities_are_added_to_complete_runs(stub):
    run = stub.run()
    train(stub, [run])
    (status,) = train(stub, [run], npz=True)
    assert status.state == "done"
    assert stub.starts(run)[1]["arguments"][-2:] == ["--npz", "--val"]


def test_a_failure_tells_its_reason_and_the_others_go_on(stub):
    runs = [stub.run(fold) for fold in range(3)]
    stub.behave(runs[0], at=1, do="raise KeyError('case_3')")
    statuses = train(stub, runs)
    assert [status.state for status in statuses] == ["failed", "done", "done"]
    assert statuses[0].reason.startswith("KeyError: 'case_3'")


def test_an_exit_without_a_result_is_a_failure(stub):
    run = stub.run()
    stub.behave(run, at=0, do="sys.exit(0)")
    (status,) = train(stub, [run])
    assert status.state == "failed"
    assert "exit code 0" in status.reason


def test_trainings_run_side_by_side_once_the_first_has_trained_an_epoch(stub):
    first, second = stub.run(0), stub.run(1)
    # Each needs the other: the second may begin only after an epoch of the first, which ends only after it began.
    log = f"any('Epoch time' in file.read_text() for file in Path({str(first.folder)!r}).glob('training_log*'))"
    stub.behave(first, at=1, do=wait_for(f"Path({str(second.folder / 'started.jsonl')!r}).exists()"))
    stub.behave(second, at=0, do=f"assert {log}")
    statuses = train(stub, [first, second], jobs=2)
    assert [status.state for status in statuses] == ["done", "done"]


def test_a_validation_tells_nothing_of_the_memory_of_a_training(stub):
    validated, first, second = (stub.run(fold) for fold in range(3))
    train(stub, [validated])
    validated.summary.unlink()
    for case in range(2):
        (validated.summary.parent / f"case_{case}.png").unlink()
    # The first training begins beside the validation once that has shown what it takes, the second after an epoch.
    begun = f"Path({str(first.folder / 'started.jsonl')!r}).exists()"
    stub.behave(validated, at="case 0", do=wait_for(begun))
    masks = f"list(Path({str(validated.summary.parent)!r}).glob('*.png'))"
    stub.behave(first, at=0, do=f"assert {masks}")
    log = f"any('Epoch time' in file.read_text() for file in Path({str(first.folder)!r}).glob('training_log*'))"
    stub.behave(second, at=0, do=f"assert {log}")
    statuses = train(stub, [validated, first, second], jobs=3)
    assert [status.state for status in statuses] == ["done"] * 3


def test_one_run_of_a_kind_shows_the_memory_of_all_of_its_kind(stub, monkeypatch):
    validated, first, second, third = runs = [stub.run(fold) for fold in range(4)]
    validated.summary.parent.mkdir(parents=True)
    validated.folder.joinpath("checkpoint_final.pth").touch()
    started = []

    def start(run, *_):
        started.append(run)
        return SimpleNamespace(session=-1, poll=lambda: None)

    monkeypatch.setattr(Attempt, "start", start)
    local = LocalRuns(statuses_of(runs, npz=False), stub.options(), jobs=4, cores=4)

    def started_by_two_looks():
        started.clear()
        local.advance()
        local.advance()
        return started

    assert started_by_two_looks() == [validated]
    # How much a validation takes tells nothing of a training, but leaves room for one.
    validated.summary.with_name("case_0.png").touch()
    assert started_by_two_looks() == [first]
    first.folder.mkdir()
    stamp = "2025-01-01 00:00:00.000000:"
    (first.folder / "training_log_2025_1_1_0_0_0.txt").write_text(f"{stamp} Epoch 0 \n{stamp} Epoch time: 2.0 s \n")
    assert started_by_two_looks() == [second, third]


def test_a_log_that_cannot_be_read_for_a_moment_ends_nothing(stub, monkeypatch):
    read, calls = ProgressReader.read, iter(range(10**6))

    def fail_at_times(self):
        if next(calls) % 2:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(self)

    monkeypatch.setattr(ProgressReader, "read", fail_at_times)
    (status,) = train(stub, [stub.run()])
    assert status.state == "done"


def test_a_student_waits_for_the_teacher_of_its_fold_and_for_no_other(stub):
    teachers = [stub.run(fold, "Teacher_5epochs") for fold in range(2)]
    students = [stub.run(fold, "Student") for fold in range(2)]
    stub.behave(students[0], at=0, do=f"assert Path({str(teachers[0].summary)!r}).exists()")
    # The other fold's teacher ends only after this student has begun.
    begun = str(students[0].folder / "started.jsonl")
    stub.behave(teachers[1], at=1, do=wait_for(f"Path({begun!r}).exists()"))
    runs = [*students, *teachers, stub.run(0, "TeacherOfOthers")]
    statuses = train(stub, runs, jobs=2, teachers={"Student": ["Teacher_5epochs"]})
    assert [status.state for status in statuses] == ["done"] * 5


@pytest.mark.parametrize("limit", ["jobs", "memory"])
def test_no_more_run_than_the_limits_allow(stub, monkeypatch, limit):
    runs = [stub.run(fold) for fold in range(3)]
    for run, before in zip(runs[1:], runs, strict=False):
        stub.behave(run, at=0, do=f"assert Path({str(before.summary)!r}).exists()")
    if limit == "memory":
        monkeypatch.setattr("nnunet_mamba.crossval.capacity.available_memory", lambda: 1)
    statuses = train(stub, runs, jobs=1 if limit == "jobs" else 3)
    assert [status.state for status in statuses] == ["done"] * 3


def test_cores_and_gpus_are_shared_out(stub):
    runs = [stub.run(fold) for fold in range(4)]
    for run in runs[:2]:
        # The first of each pair holds its GPU until the other one has got its own.
        stub.behave(run, at=1, do=wait_for(f"Path({str(runs[1].folder / 'started.jsonl')!r}).exists()"))
    train(stub, runs, jobs=2, cores=12, gpus=["3", "GPU-aa"], device="cuda")
    starts = [stub.starts(run)[0] for run in runs]
    assert {start["OMP_NUM_THREADS"] for start in starts} == {"6"}
    assert {start["nnUNet_n_proc_DA"] for start in starts} == {"6"}
    assert [start["CUDA_VISIBLE_DEVICES"] for start in starts[:2]] == ["3", "GPU-aa"]


@pytest.mark.parametrize(("free", "are_together"), [(13, True), (12, False)])
def test_as_many_trainings_share_a_gpu_as_its_memory_holds(stub, tmp_path, free, are_together):
    first, second = runs = [stub.run(fold) for fold in range(2)]
    use = {"reserved": 12 * GIB, "peak": 12 * GIB, "free": free * GIB, "total": 27 * GIB}
    says = f"Path(GPU_USE).write_text({json.dumps(use)!r})"
    # Ends only once the other has begun, or has been told to wait, and then begins after the first has ended.
    awaited = second.folder / "started.jsonl" if are_together else tmp_path / "told"
    stub.behave(first, at=1, do=says + wait_for(f"Path({str(awaited)!r}).exists()"))
    stub.behave(second, at=0, do="pass" if are_together else f"assert Path({str(first.summary)!r}).exists()")
    told = []

    def tell(text):
        told.append(text)
        (tmp_path / "told").touch()

    statuses = train(stub, runs, jobs=2, gpus=["0"], device="cuda", tell=tell)
    assert [status.state for status in statuses] == ["done"] * 2
    assert [stub.starts(run)[0]["CUDA_VISIBLE_DEVICES"] for run in runs] == ["0", "0"]
    assert len(told) == (0 if are_together else 1)
    assert all("GPU 0 has 12.0 of 27.0 GiB free beside 1 training, and one more may take 13.0" in text for text in told)


def test_a_gpu_of_its_own_asks_no_training_what_it_takes(stub):
    run = stub.run()
    stub.behave(run, at=0, do="assert GPU_USE is None")
    (status,) = train(stub, [run], jobs=1, gpus=["0"], device="cuda")
    assert status.state == "done"


def test_processes_of_nnunet_that_the_user_set_stay(stub, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    train(stub, [stub.run()], cores=8)
    (start,) = stub.starts(stub.run())
    assert (start["OMP_NUM_THREADS"], start["nnUNet_n_proc_DA"], start["nnUNet_def_n_proc"]) == ("8", "0", "4")
    assert start["CUDA_VISIBLE_DEVICES"] is None


def test_an_interruption_ends_the_trainings_and_a_second_call_continues_them(stub):
    run = stub.run()
    stub.behave(run, at=1, do="import time; time.sleep(600)")

    def interrupt():
        if list(run.folder.glob("checkpoint_latest.pth")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stub, [run], show=interrupt)
    assert not stub.is_alive(stub.starts(run)[0]["pid"])

    stub.behave_well()
    (status,) = train(stub, [run])
    assert status.state == "done"
    assert stub.starts(run)[1]["arguments"][-1] == "--c"


def test_workers_of_a_training_that_died_end_too(stub, tmp_path):
    run = stub.run()
    worker = f"""
        import subprocess
        worker = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
        Path({str(tmp_path / "worker")!r}).write_text(str(worker.pid))
        os.kill(os.getpid(), 9)
    """
    stub.behave(run, at=1, do=textwrap.dedent(worker))
    (status,) = train(stub, [run])
    assert status.reason.startswith("It was killed (SIGKILL), usually for want of memory")
    stub.wait_until_gone(int((tmp_path / "worker").read_text()))


def test_a_run_that_another_process_trains_is_left_alone(stub):
    run = stub.run()
    stub.behave(run, at=0, do="import time; time.sleep(600)")
    attempt = Attempt.start(run, stub.options(), TrainingShare(cores=1))
    try:
        (status,) = train(stub, [run])
        assert status.reason.startswith("Another nnunet-mamba crossval trains A__nnUNetPlans__2d__fold_0 already")
    finally:
        attempt.stop()
    assert run.log.read_text().count("=== attempt ") == 1
