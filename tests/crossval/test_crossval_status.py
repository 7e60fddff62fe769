import errno
from pathlib import Path

from nnunet_mamba.crossval.status import Status

STAMP = "2025-01-01 00:00:00.000000:"


def log(run, number, *, begin, end):
    """Write what nnU-Net logs of some epochs, and of one more that it is in the middle of."""
    run.folder.mkdir(parents=True, exist_ok=True)
    lines = [line for epoch in range(begin, end) for line in (f"Epoch {epoch}", "train_loss 0.5", "Epoch time: 2.0 s")]
    text = "".join(f"{STAMP} {line} \n" for line in [*lines, f"Epoch {end}"])
    (run.folder / f"training_log_2025_1_1_0_0_{number}.txt").write_text(text)


def test_an_epoch_counts_from_the_start_on_also_where_an_older_checkpoint_is_continued(stub):
    run = stub.run()
    log(run, 0, begin=0, end=99)
    status = Status(run=run)
    status.started()
    assert (status.state, status.has_shown_its_memory) == ("starting", False)
    # nnU-Net's own trainers write a checkpoint every fifty epochs.
    log(run, 1, begin=50, end=50)
    status.follow()
    assert (status.state, status.has_shown_its_memory) == ("starting", False)
    log(run, 1, begin=50, end=51)
    status.follow()
    assert (status.state, status.has_shown_its_memory) == ("training", True)
    assert status.progress.n_done == 51


def test_a_run_that_only_validates_has_shown_its_memory_after_a_case(stub):
    run = stub.run()
    run.summary.parent.mkdir(parents=True)
    for name in ("checkpoint_final.pth", "validation/case_0.png", "validation/summary.json"):
        (run.folder / name).touch()
    status = Status(run=run)
    status.started()
    status.follow()
    assert (status.state, status.has_shown_its_memory) == ("validating", False)
    (run.folder / "validation/summary.json").write_text("new")
    assert not status.has_shown_its_memory
    (run.folder / "validation/case_1.png").touch()
    assert status.has_shown_its_memory


def test_files_that_cannot_be_read_at_its_end_are_its_failure_and_nobody_elses(stub, monkeypatch):
    status = Status(run=stub.run())

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "exists", fail)
    status.ended(0, npz=False)
    assert status.state == "failed"
    assert status.reason.startswith("It ended, and its files cannot be read: [Errno")
