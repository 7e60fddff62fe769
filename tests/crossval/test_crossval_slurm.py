import builtins
import os
import signal
import stat
import time
import zipfile

import pytest

from nnunet_mamba.crossval import slurm, slurm_job
from nnunet_mamba.crossval.slurm import (
    JobRecord,
    Resources,
    parse_minutes,
    parse_options,
    queued_jobs,
    slurm_executor,
    submit,
    submit_missing,
    watch,
)
from nnunet_mamba.crossval.slurm_job import TrainingJob
from nnunet_mamba.crossval.status import statuses_of

submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install 'nnunet-mamba[slurm]'")


def wait_until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(slurm_job, "SECONDS_BETWEEN_LOOKS", 0.02)


@pytest.fixture
def executor(tmp_path):
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=5)
    return executor


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder in front of the PATH, for commands in place of Slurm's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)

    return write


def local_queue(folder):
    """Return what squeue would: submitit's local jobs as long as they have no result."""
    return lambda jobs: {job: "RUNNING" for job in jobs if not (folder / f"{job}_0_result.pkl").exists()}


def follow(stub, executor, runs, options):
    statuses = statuses_of(runs, npz=options.npz)
    jobs = submit(executor, statuses, options)
    watch(
        statuses,
        jobs,
        lambda: None,
        npz=options.npz,
        logs=executor.folder,
        queue=local_queue(executor.folder),
        poll_seconds=0.05,
    )
    return statuses, jobs


def test_jobs_train_their_runs(stub, executor):
    runs = [stub.run(fold) for fold in range(2)]
    statuses, _ = follow(stub, executor, runs, stub.options())
    assert [status.state for status in statuses] == ["done", "done"]
    assert [run.dice() for run in runs] == [0.5, 0.6]


def test_a_failed_job_tells_the_reason_and_where_its_log_is(stub, executor, monkeypatch):
    monkeypatch.setattr(slurm, "SECONDS_UNTIL_FILES_SHOW", 0)
    stub.behave(stub.run(), at=1, do="raise KeyError('case_3')")
    (status,), jobs = follow(stub, executor, [stub.run()], stub.options())
    assert status.state == "failed"
    assert status.reason.startswith("KeyError: 'case_3'")
    assert status.reason.endswith(f"{jobs[status.run.name]}_0_log.err")


def test_a_student_is_not_submitted_before_its_teacher_is_complete(stub, tmp_path, monkeypatch):
    runs = [stub.run(0, "Student"), stub.run(0, "Teacher_5epochs")]
    statuses = statuses_of(runs, npz=False, teachers={"Student": ["Teacher_5epochs"]})
    record = JobRecord(tmp_path)
    monkeypatch.setattr(slurm, "submit", lambda _, missing, __: {status.run.name: "7_0" for status in missing})
    with pytest.raises(ValueError, match="Student needs the trainings of Teacher_5epochs, which are not complete"):
        submit_missing(None, statuses, stub.options(), record)
    assert record.read() == {}

    TrainingJob(runs[1], stub.options())()
    statuses = statuses_of(runs, npz=False, teachers={"Student": ["Teacher_5epochs"]})
    assert submit_missing(None, statuses, stub.options(), record) == {runs[0].name: "7_0"}
    TrainingJob(runs[0], stub.options())()
    watch(statuses, record.read(), lambda: None, npz=False, logs=tmp_path, queue=lambda jobs: {})
    assert [status.state for status in statuses] == ["done", "done"]


def test_a_job_that_is_preempted_ends_its_training_and_continues_it(stub, executor):
    run = stub.run()
    stub.behave(run, at=1, do="import time; time.sleep(0 if resume else 600)")
    statuses = statuses_of([run], npz=False)
    jobs = submit(executor, statuses, stub.options())
    # It exists before it is whole, and half of one is nothing to continue from.
    wait_until(lambda: zipfile.is_zipfile(run.folder / "checkpoint_latest.pth"))
    (start,) = stub.starts(run)
    os.kill(start["parent"], signal.SIGUSR2)
    stub.wait_until_gone(start["pid"])
    watch(
        statuses,
        jobs,
        lambda: None,
        npz=False,
        logs=executor.folder,
        queue=local_queue(executor.folder),
        poll_seconds=0.05,
    )
    assert statuses[0].state == "done"
    assert [start["arguments"][-1] for start in stub.starts(run)] == ["cpu", "--c"]


def test_a_training_that_the_cluster_ends_goes_on_if_the_job_does(stub, monkeypatch):
    monkeypatch.setattr(slurm_job, "SECONDS_BEFORE_RESTART", 0)
    run = stub.run()
    stub.behave(run, at=1, do="resume or os.kill(os.getpid(), 15)")
    TrainingJob(run, stub.options())()
    assert run.phase() == "complete"
    assert [start["arguments"][-1] for start in stub.starts(run)] == ["cpu", "--c"]


@pytest.mark.parametrize("code", [0, 3])
def test_a_training_that_ends_without_a_result_fails_its_job(stub, code):
    stub.behave(stub.run(), at=1, do=f"sys.exit({code})")
    with pytest.raises(RuntimeError, match=f"exit code {code} and is not complete; see .*fold_0.log"):
        TrainingJob(stub.run(), stub.options())()
    assert len(stub.starts(stub.run())) == 1


def test_jobs_that_get_nowhere_are_not_started_again_and_again(stub):
    run = stub.run()
    run.log.parent.mkdir(parents=True)
    job = TrainingJob(run, stub.options())
    for _ in range(slurm_job.MOST_FRUITLESS_STARTS - 1):
        job = job.checkpoint().function
    assert job.checkpoint() is None
    assert "3 jobs in a row ended before the training wrote a checkpoint to continue from" in run.log.read_text()

    run.folder.mkdir(parents=True)
    (run.folder / "checkpoint_best.pth").touch()
    assert job.checkpoint().function.n_fruitless == 0


def test_a_best_checkpoint_beside_a_latest_one_gets_a_job_nowhere(stub):
    run = stub.run()
    stub.behave(run, at=1, do="sys.exit(3)")
    job = TrainingJob(run, stub.options())
    with pytest.raises(RuntimeError):
        job()
    assert job.checkpoint().function.n_fruitless == 0
    with pytest.raises(RuntimeError):
        job()
    (run.folder / "checkpoint_best.pth").touch()
    assert job.checkpoint().function.n_fruitless == 1


def test_the_array_asks_for_the_resources(stub, tmp_path, commands):
    commands("srun", "exit 0")
    commands("sbatch", f'cp "$1" {tmp_path / "submitted.sh"}; echo Submitted batch job 7')
    resources = Resources(
        minutes=90,
        partition="gpu",
        gpus=1,
        cpus=6,
        memory="32G",
        setup=["module load cuda"],
        options={"account": "imaging", "exclusive": ""},
        parallel=3,
    )
    executor = slurm_executor(tmp_path / "jobs", resources)
    jobs = submit(executor, statuses_of([stub.run(fold) for fold in range(5)], npz=False), stub.options())

    assert jobs == {stub.run(fold).name: f"7_{fold}" for fold in range(5)}
    script = (tmp_path / "submitted.sh").read_text().splitlines()
    for line in ("array=0-4%3", "time=90", "partition=gpu", "gpus-per-node=1", "cpus-per-task=6", "mem=32G"):
        assert f"#SBATCH --{line}" in script
    for line in ("requeue", "account=imaging", "exclusive"):
        assert f"#SBATCH --{line}" in script
    assert script.index("module load cuda") < next(n for n, line in enumerate(script) if line.startswith("srun"))
    assert any(line.startswith("srun") and "--cpus-per-task=6" in line for line in script)


def test_a_refusal_of_slurm_is_told(stub, tmp_path, commands):
    commands("srun", "exit 0")
    commands("sbatch", "echo 'sbatch: error: invalid partition specified: gpux' >&2; exit 1")
    executor = slurm_executor(tmp_path / "jobs", Resources(minutes=5))
    with pytest.raises(ValueError, match=r"Slurm takes no such jobs: .*invalid partition specified: gpux"):
        submit(executor, statuses_of([stub.run(0), stub.run(1)], npz=False), stub.options())


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="There is no srun on the PATH: run this on a machine that submits to Slurm"):
        slurm_executor(tmp_path / "jobs", Resources(minutes=5))


def test_submitit_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    import_module = builtins.__import__

    def without_submitit(name, *args, **kwargs):
        if name == "submitit":
            raise ImportError(name)
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_submitit)
    with pytest.raises(ValueError, match=r"needs submitit, .*pip install 'nnunet-mamba\[slurm\]'"):
        slurm_executor(tmp_path, Resources(minutes=5))


def test_a_second_call_submits_only_what_has_no_job(stub, monkeypatch):
    runs = [stub.run(fold) for fold in range(3)]
    record = JobRecord(stub.results / "Dataset901_Tiny")
    record.add({runs[0].name: "5_0", runs[1].name: "5_1", "another trainer's": "4"})
    monkeypatch.setattr(slurm, "submit", lambda _, missing, __: {s.run.name: f"6_{n}" for n, s in enumerate(missing)})

    def queue(jobs):
        assert jobs == ["5_0", "5_1"]
        return {"5_0": "PENDING"}

    jobs = submit_missing(None, statuses_of(runs, npz=False), stub.options(), record, queue=queue)

    assert jobs == {runs[0].name: "5_0", runs[1].name: "6_0", runs[2].name: "6_1"}
    assert record.read() == {**jobs, "another trainer's": "4"}


def test_files_of_a_job_that_is_gone_are_waited_for(stub, executor, monkeypatch):
    # A network's disk shows them a while after the job has left the queue.
    statuses = statuses_of([stub.run()], npz=False)
    looks = iter(range(100))

    def queue(jobs):
        if next(looks) == 2:
            TrainingJob(stub.run(), stub.options())()
        return {}

    watch(statuses, {stub.run().name: "5"}, lambda: None, npz=False, logs=executor.folder, queue=queue, poll_seconds=0)
    assert statuses[0].state == "done"
    assert next(looks) == 3


def test_states_follow_the_queue(stub, executor, monkeypatch):
    monkeypatch.setattr(slurm, "SECONDS_UNTIL_FILES_SHOW", 0)
    statuses = statuses_of([stub.run()], npz=False)
    answers = iter(["PENDING", "RUNNING", ConnectionError, "COMPLETING", None])
    seen = []

    def queue(jobs):
        answer = next(answers)
        if answer is ConnectionError:
            raise ConnectionError
        return {} if answer is None else {"5": answer}

    watch(
        statuses,
        {stub.run().name: "5"},
        lambda: seen.append(statuses[0].state),
        npz=False,
        logs=executor.folder,
        queue=queue,
        poll_seconds=0,
    )
    assert seen == ["queued", "starting", "queued", "failed"]
    assert statuses[0].reason.startswith("It is not in the queue any more and not complete")


def test_the_queue_is_squeues(commands, tmp_path):
    asked = tmp_path / "asked"
    commands("squeue", f'echo "$@" > {asked}; printf "7_0 RUNNING\\n7_1 PENDING\\n7_2 RUNNING\\n"')
    assert queued_jobs(["7_0", "7_1", "7_9", "8"]) == {"7_0": "RUNNING", "7_1": "PENDING"}
    assert asked.read_text().split() == ["--noheader", "--array", "--format=%i", "%T", "--jobs=7,8"]
    commands("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert queued_jobs(["7_0"]) == {}
    commands("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(ConnectionError, match="Slurm does not answer: Unable to contact slurm controller"):
        queued_jobs(["7_0"])


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("12:00:00", 720), ("2-00:00:00", 2880), ("0:00:30", 1), ("1:00:01", 61)]
)
def test_times(text, minutes):
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "00:00:00", "0-00:00:00", "²", "nan", "a day", "1:30", "-5"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no time, expected minutes, HH:MM:SS or D-HH:MM:SS"):
        parse_minutes(text)


@pytest.mark.parametrize("job", ["null", '"None"', "7", '"7_0,8"', "NaN", '""'])
def test_a_record_of_something_else_than_jobs_is_told(tmp_path, job):
    record = JobRecord(tmp_path)
    record.add({"run": "7_0"})
    assert record.read() == {"run": "7_0"}
    (file,) = tmp_path.rglob("slurm_jobs.json")
    file.write_text(f'{{"run": {job}}}')
    with pytest.raises(ValueError, match=f"{file} has the job .* for run, expected a number of Slurm's"):
        record.read()
    file.write_text("[]")
    with pytest.raises(ValueError, match=f"{file} holds a list"):
        record.read()


def test_options_of_sbatch():
    assert parse_options(["account=imaging", "--gres=gpu:a100:1", "exclusive"]) == {
        "account": "imaging",
        "gres": "gpu:a100:1",
        "exclusive": "",
    }
    with pytest.raises(ValueError, match="`slurm_option` '=5' names no option, expected KEY=VALUE"):
        parse_options(["=5"])
