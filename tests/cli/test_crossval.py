import functools
import json
import os
import signal
import sys

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.crossval import crossval
from nnunet_mamba.crossval import capacity, cross_validation, slurm
from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.local import LocalRuns
from nnunet_mamba.crossval.nnunet_side import Preparation

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(crossval)
STUB = os.path.join(os.path.dirname(__file__), "../crossval/training_stub.py")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command with a stub in place of nnU-Net, three folds and no GPU."""
    preprocessed = tmp_path / "preprocessed/Dataset901_Tiny"
    preprocessed.mkdir(parents=True)
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    monkeypatch.delenv("STUB", raising=False)
    program = (sys.executable, "-S", STUB)
    monkeypatch.setattr(cross_validation, "TrainingOptions", functools.partial(TrainingOptions, program=program))
    monkeypatch.setattr(cross_validation, "prepare", lambda *_, **__: Preparation(n_folds=3, n_gpus=0))
    monkeypatch.setattr(capacity, "usable_cores", lambda: 4)
    monkeypatch.setitem(LocalRuns.run.__kwdefaults__, "poll_seconds", 0.05)

    def run(*arguments):
        return CliRunner().invoke(app, ["901", "2d", *arguments])

    run.preprocessed = preprocessed
    run.folder = tmp_path / "results/Dataset901_Tiny"
    return run


def test_ends_with_the_scores_and_nnunets_next_command(command):
    result = command("--trainers", "A,B")
    assert result.exit_code == 0, result.output
    assert "6 of 6 runs to do, at most 2 at a time on 4 cores" in result.output
    assert "A__nnUNetPlans__2d │  0.500 │  0.600 │  0.700 │        0.600 ± 0.100" in result.output
    assert "mean ± SD over folds" in result.output
    last = result.output.splitlines()[-1].strip()
    assert last == (
        "nnUNetv2_find_best_configuration Dataset901_Tiny -c 2d -tr A B -p nnUNetPlans -f 0 1 2 --disable_ensembling"
    )
    (start,) = (command.folder / "A__nnUNetPlans__2d/fold_0/started.jsonl").read_text().splitlines()
    assert json.loads(start)["arguments"][-2:] == ["-device", "cpu"]


def test_a_training_that_waits_for_a_gpu_is_told(command, monkeypatch):
    monkeypatch.setattr(cross_validation, "prepare", lambda *_, **__: Preparation(n_folds=3, n_gpus=1))
    monkeypatch.setattr(LocalRuns, "run", lambda runs, show: runs._sharing._tell("GPU 0 has [none] free"))
    result = command("--trainers", "A", "--jobs", "2")
    assert "Note: GPU 0 has [none] free\n" in result.stderr


def test_trainers_may_be_named_one_by_one(command):
    result = command("--trainer", "A", "--trainer", "B", "--folds", "0")
    assert result.exit_code == 0, result.output
    assert "-tr A B -p" in result.output.splitlines()[-1]


def test_a_training_may_be_named_as_nnunets_other_commands_name_it(command):
    named = ["901", "-c", "2d", "-tr", "A", "-p", "nnUNetPlans", "--folds", "0"]
    result = CliRunner().invoke(app, named)
    assert result.exit_code == 0, result.output
    assert (command.folder / "A__nnUNetPlans__2d").is_dir()
    # The same name twice is one.
    assert command(*named[1:]).exit_code == 0


def test_no_configuration_and_two_of_them_are_refused(command):
    result = CliRunner().invoke(app, ["901", "-tr", "A"])
    assert result.exit_code == 1
    assert "no configuration, expected 2d" in result.stderr
    result = command("-c", "3d_fullres", "-tr", "A")
    assert result.exit_code == 1
    assert "two configurations, 2d and -c 3d_fullres; name one" in result.stderr


def test_trainers_with_plans_of_their_own_are_compared_one_by_one(command):
    for name in ("nnUNetPlans", "nnUNetVMUNetPlans"):
        (command.preprocessed / f"{name}.json").touch()
    result = command("--trainers", "nnUNetTrainer_5epochs,nnUNetTrainerVMUNet", "--folds", "0", "--plans", "own")
    assert result.exit_code == 0, result.output
    following = result.output.partition("Next, for trainers with plans of their own one by one:\n")[2].splitlines()
    assert [line.partition(" -tr ")[2].split(" -f ")[0] for line in following] == [
        "nnUNetTrainer_5epochs -p nnUNetPlans",
        "nnUNetTrainerVMUNet -p nnUNetVMUNetPlans",
    ]


def test_repeats_end_with_the_deviation_over_seeds_and_more_of_them_continue(command):
    ours = "nnUNetTrainerVMUNet"
    result = command("--trainers", ours, "--folds", "0,1", "--repeats", "1")
    assert result.exit_code == 0, result.output
    assert "over seeds" not in result.output
    result = command("--trainers", ours, "--folds", "0,1", "--repeats", "2")
    assert result.exit_code == 0, result.output
    assert "2 of 4 runs to do" in result.output
    assert f"{ours}_seed2__nnUNetPlans__2d │  0.500 │  0.600 │        0.550 ± 0.071" in result.stdout
    assert "mean ± SD over seeds" in result.stdout
    assert f"{ours}__nnUNetPlans__2d │  0.550 │  0.550 │        0.550 ± 0.000" in result.stdout
    assert f" -tr {ours}_seed1 {ours}_seed2 -p nnUNetPlans -f 0 1 " in result.stdout.splitlines()[-1]
    (start,) = (command.folder / f"{ours}_seed1__nnUNetPlans__2d/fold_1/started.jsonl").read_text().splitlines()
    assert f"{ours}_seed1" in json.loads(start)["arguments"]


def test_a_second_call_only_shows_the_scores(command):
    command("--trainers", "A", "--folds", "0,2")
    result = command("--trainers", "A", "--folds", "0,2")
    assert result.exit_code == 0
    assert "to do" not in result.output
    assert "│  0.500 │  0.700 │" in result.output


def test_a_failure_is_told_with_its_log_and_the_way_on(command, monkeypatch):
    monkeypatch.setenv("STUB", json.dumps({"A/1": {"at": 1, "do": "raise KeyError('case_3')"}}))
    result = command("--trainers", "A")
    assert result.exit_code == 1
    assert "A__nnUNetPlans__2d__fold_1 failed: KeyError: 'case_3'" in result.output
    assert f"All of it is in {command.folder}/crossval_logs/A__nnUNetPlans__2d__fold_1.log" in result.output
    assert "1 of 3 runs failed. Run the same command again" in result.output
    assert "│  0.500 │      – │  0.700 │" in result.output
    assert "Next:" not in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_how_to_go_on(command, monkeypatch, request, number):
    # The training ends the command and then waits to be ended by it.
    do = f"import time; os.kill(os.getppid(), {int(number)}); time.sleep(600)"
    monkeypatch.setenv("STUB", json.dumps({"A/0": {"at": 1, "do": do}}))
    # The tests themselves may run under nohup.
    outside = signal.signal(number, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(number, outside))
    result = command("--trainers", "A", "--folds", "0")
    assert result.exit_code == 130
    assert "run the same command again, it continues" in result.output
    assert signal.getsignal(number) == signal.default_int_handler

    monkeypatch.delenv("STUB")
    result = command("--trainers", "A", "--folds", "0")
    assert result.exit_code == 0, result.output
    starts = (command.folder / "A__nnUNetPlans__2d/fold_0/started.jsonl").read_text().splitlines()
    assert json.loads(starts[1])["arguments"][-1] == "--c"


def test_a_full_disk_hides_no_other_failure(command, monkeypatch):
    behaviours = {
        "A/0": {"at": 1, "do": "raise KeyError('case_3')"},
        "A/1": {"at": "case 1", "do": "(validation / 'summary.json').touch(); raise OSError('disk full')"},
    }
    monkeypatch.setenv("STUB", json.dumps(behaviours))
    result = command("--trainers", "A")
    assert result.exit_code == 1
    assert "fold_0 failed: KeyError: 'case_3'" in result.output
    assert "fold_1 failed: OSError: disk full" in result.output
    monkeypatch.delenv("STUB")
    assert command("--trainers", "A").exit_code == 0


def test_advice_names_options_and_a_log_is_shown_as_it_is(command, monkeypatch):
    behaviours = {
        "A/0": {"at": 1, "do": "os.kill(os.getpid(), 9)"},
        "A/1": {"at": 1, "do": "raise ValueError('`device` and `jobs`')"},
    }
    monkeypatch.setenv("STUB", json.dumps(behaviours))
    result = command("--trainers", "A", "--folds", "0,1")
    assert "usually for want of memory: try fewer at a time with --jobs.\n" in result.stderr
    assert "fold_1 failed: ValueError: `device` and `jobs`\n" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--trainers", "A", "--folds", "0-4"), "asks for folds 3, 4, and splits_final.json has 3: 0 to 2"),
        (("--trainers", "A", "--repeats", "3"), "--repeats 3 trains with seeds, and A takes none"),
        (("--trainers", "nnUNetTrainerVMUNet_seed1", "--repeats", "3"), "leave '_seed1' out, or --repeats"),
        (("--trainers", "A,A"), "--trainers names A more than once"),
        (("--trainer", "A", "--trainer", "A"), "--trainers names A more than once"),
        (("--trainers", ""), "--trainers '' names nothing"),
        (("--trainers", "A", "--executor", "slurm", "--slurm-time", "soon"), "--slurm-time 'soon' is no time"),
    ],
)
def test_bad_options_stop_before_anything_runs(command, arguments, text):
    result = command(*arguments)
    assert result.exit_code == 1
    assert text in result.output
    assert not command.folder.exists()


def test_jobs_are_submitted_and_followed_by_the_next_call(command, tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'nnunet-mamba[slurm]'")
    commands = tmp_path / "bin"
    commands.mkdir()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "SECONDS_UNTIL_FILES_SHOW", 0)
    # squeue is first asked by the second call, when the jobs are gone and nothing has been trained.
    scripts = {"srun": "exit 0", "sbatch": "echo Submitted batch job 7", "squeue": "exit 0"}
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)

    result = command("--trainers", "A", "--executor", "slurm", "--no-wait")
    assert result.exit_code == 0, result.output
    assert "A__nnUNetPlans__2d__fold_2: job 7_2" in result.output
    assert "The same command shows them again; to cancel them: scancel 7" in result.output
    script = (command.folder / "crossval_logs/slurm/7_submission.sh").read_text()
    for line in ("--time=1440", "--gpus-per-node=1", "--cpus-per-task=8", "--array=0-2%3"):
        assert f"#SBATCH {line}\n" in script

    result = command("--trainers", "A", "--executor", "slurm")
    assert result.exit_code == 1
    assert "A__nnUNetPlans__2d__fold_0 failed: It is not in the queue any more and not complete." in result.output
    assert "The job's own log:" in result.output


def test_cuda_without_a_device_ends_before_anything_begins(command):
    result = command("--trainers", "A", "--device", "cuda")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--device cuda: torch finds no CUDA device here" in result.stderr
    assert not command.folder.exists()


def test_results_go_to_standard_output_and_progress_to_standard_error(command, monkeypatch):
    notices = {("A", "nnUNetPlans"): "large batches", ("B", "nnUNetPlans"): "of others"}
    preparation = Preparation(n_folds=3, n_gpus=0, notices=notices)
    monkeypatch.setattr(cross_validation, "prepare", lambda *_, **__: preparation)
    result = command("--trainers", "A", "--folds", "0")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Dice of the final validations")
    assert "nnUNetv2_find_best_configuration" in result.stdout
    assert "1 of 3 done" not in result.stdout
    assert "1 of 1 run to do" in result.stderr
    assert "A__nnUNetPlans__2d__fold_0: done" in result.stderr
    assert "Note: large batches" in result.stderr
    assert "of others" not in result.stderr


@pytest.mark.parametrize("option", ["raw", "preprocessed", "results"])
def test_folders_that_no_shell_expanded_are_refused(command, monkeypatch, tmp_path, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"nnUNet_{option}", "~/nnunet")
    result = command("--trainers", "A")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f'export nnUNet_{option}="$HOME/nnunet"' in result.stderr
    assert not (tmp_path / "~").exists()
