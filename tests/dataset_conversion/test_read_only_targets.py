"""A conversion that may not write: told before it looks at any case, with nothing left behind."""

import os

import pytest
from conversion_runs import DATASETS, arguments, command, contents, draw_photographs
from small_disks import SmallDisk
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app


@pytest.fixture
def sources(tmp_path):
    """Photographs of which one is damaged, which only a look at the cases finds."""
    images, masks = draw_photographs(tmp_path / "source", 3, shape=(16, 16))
    (images / "ISIC_0000001.png").write_bytes(b"")
    return images, masks


def convert(sources, output, *options):
    return CliRunner().invoke(app, arguments("isic", sources, output, *options))


def test_a_file_above_the_target_is_named(sources, tmp_path):
    (tmp_path / "file").write_text("x")

    done = convert(sources, tmp_path / "file" / "raw")

    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {tmp_path / 'file'} is a file, expected a folder for raw; get the right to write there, make room, or "
        "choose another place with --output or --images-only\n"
    )
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_without_permission_is_named(sources, tmp_path):
    output = tmp_path / "raw"
    output.mkdir(mode=0o555)
    if os.access(output, os.W_OK):
        pytest.skip("this user may write whatever the permissions say")

    done = convert(sources, output)

    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: Permission denied: nothing can be written into {output}; get the right")
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("report", ["file/problems.csv", "folder"])
def test_a_report_that_cannot_be_written_is_told_first(sources, tmp_path, report):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()

    done = convert(sources, tmp_path / "raw", "--dry-run", "--report", str(tmp_path / report))

    assert done.exit_code == 1
    assert "is a file, expected a folder" in done.stderr or "is a folder, expected a file" in done.stderr
    assert "ISIC_0000001" not in done.stderr
    assert not (tmp_path / "raw").exists()


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    disk = SmallDisk(tmp_path / "disk", "600k")
    disk.remount("ro")
    yield disk
    disk.close()


@pytest.mark.slow
def test_a_read_only_file_system_is_told_before_any_case_is_looked_at(sources, disk):
    done = disk.run(command("isic", sources, disk.path / "raw"))

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Read-only file system: nothing can be written into {disk.path}; get the")
    assert contents(disk.seen_from_outside) == {}


@pytest.mark.slow
def test_a_folder_that_became_read_only_is_named(sources, disk):
    target = disk.path / "raw" / DATASETS["isic"]
    disk.remount("rw")
    disk.run(["mkdir", "-p", str(target)])
    # Only the data set's own folder: beside it, there is still a place for the lock.
    disk.run(["mount", "--bind", "-o", "ro", str(target), str(target)])

    done = disk.run(command("isic", sources, disk.path / "raw"))

    assert done.returncode == 1
    assert f"nothing can be written into {target};" in done.stderr
    assert contents(disk.seen_from_outside) == {}


@pytest.mark.slow
def test_a_dry_run_needs_no_right_to_write(sources, disk):
    done = disk.run(command("isic", sources, disk.path / "raw", "--dry-run", "--skip-invalid"))

    assert done.returncode == 0, done.stderr
    assert "nothing, a dry run" in done.stdout
