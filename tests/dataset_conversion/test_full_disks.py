"""A conversion that runs out of room: one sentence, whole files, and the same command continues."""

import re
import resource
import zipfile
from contextlib import contextmanager

import pytest
from conversion_runs import (
    DATASETS,
    RECORD,
    arguments,
    assert_only_whole_files,
    command,
    contents,
    draw_photographs,
    run,
)
from small_disks import SmallDisk
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app

N_CASES = 12
N_PLAIN = 5
LARGEST_FILE_WITH_NOISE = 8_000  # bytes; the record and plain pictures are smaller, pictures of noise are larger


@contextmanager
def files_of_at_most(n_bytes):
    """Let writing fail beyond a size, as it does on a full disk: a real error, on any file system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def sources(tmp_path):
    return draw_photographs(tmp_path / "source", N_CASES, shape=(64, 64), n_plain=N_PLAIN)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / DATASETS["isic"]


def convert(sources, target, *options, largest_file=None):
    words = arguments("isic", sources, target.parent, "--size", "64", "--jobs", "1", *options)
    if largest_file is None:
        return CliRunner().invoke(app, words)
    with files_of_at_most(largest_file):
        return CliRunner().invoke(app, words)


def test_while_images_are_written(sources, target, tmp_path):
    before = contents(tmp_path / "source")

    done = convert(sources, target, largest_file=LARGEST_FILE_WITH_NOISE)

    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: File too large, while writing {target}/imagesTr/ISIC_{N_PLAIN:07d}_0000.png. {N_PLAIN} of {N_CASES} "
        f"cases are there and whole in {target}. Put it right (free space, permissions) and run the same command "
        "again: it continues\n"
    )
    assert contents(tmp_path / "source") == before
    left = contents(target.parent)
    again = convert(sources, target)
    assert again.exit_code == 0, again.stderr
    assert f"{N_CASES - N_PLAIN} cases, the others were there" in again.stdout
    convert(sources, tmp_path / "undisturbed" / target.name)
    expected = contents(tmp_path / "undisturbed")
    assert contents(target.parent) == expected
    assert len(left) == 1 + 2 * N_PLAIN
    assert {name: expected.get(name) for name in left} == left


def test_while_the_record_is_written_nothing_else_is_there(sources, target):
    done = convert(sources, target, largest_file=500)

    assert done.exit_code == 1
    assert f"File too large, while writing {target / RECORD}. 0 of {N_CASES} cases are there" in done.stderr
    assert contents(target.parent) == {}
    assert convert(sources, target).exit_code == 0


@pytest.mark.parametrize("name", ["splits_final.json", "dataset.json"])
def test_while_the_last_files_are_written(sources, target, name):
    convert(sources, target)
    expected = contents(target.parent)
    (target / name).unlink()

    done = convert(sources, target, largest_file=100)

    assert done.exit_code == 1
    assert (
        f"while writing {target / name}. {N_CASES} of {N_CASES} cases are there and whole in {target}." in done.stderr
    )
    assert contents(target.parent) == {path: data for path, data in expected.items() if not path.endswith(name)}
    assert convert(sources, target).exit_code == 0
    assert contents(target.parent) == expected


def test_while_the_report_is_written(sources, target, tmp_path):
    (sources[0] / "ISIC_0000003.png").write_bytes(b"")

    done = convert(sources, target, "--report", str(tmp_path / "problems.csv"), largest_file=60)

    assert done.exit_code == 1
    assert f"File too large, while writing the report {tmp_path / 'problems.csv'}; no case has been" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def packed(folders, path):
    with zipfile.ZipFile(path, "w") as archive:
        for folder in folders:
            for file in folder.iterdir():
                archive.write(file, f"{'masks' if folder.name == 'masques' else 'images'}/{file.name}")
    return path


def test_while_an_archive_is_unpacked(sources, target, tmp_path):
    archive = packed(sources, tmp_path / "set.zip")

    done = convert([archive], target, largest_file=LARGEST_FILE_WITH_NOISE)

    assert done.exit_code == 1
    assert f"File too large, while unpacking {archive} into {target.parent}; nothing of it is left" in done.stderr
    assert not target.parent.exists()
    assert convert([archive], target).exit_code == 0


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    disk = SmallDisk(tmp_path / "disk", "2500k")
    yield disk
    disk.close()


@pytest.mark.slow
def test_on_a_small_file_system_the_same_command_continues_once_there_is_room(disk, tmp_path):
    n_cases = 60
    sources = draw_photographs(tmp_path / "source", n_cases)
    before = contents(tmp_path / "source")
    assert run(command("isic", sources, tmp_path / "undisturbed")).returncode == 0
    expected = contents(tmp_path / "undisturbed")

    done = disk.run(command("isic", sources, disk.path / "raw"))

    assert done.returncode == 1
    target = disk.path / "raw" / DATASETS["isic"]
    pattern = (
        rf"Error: No space left on device, while writing {target}/\S+ (\d+) of {n_cases} cases are there and whole"
    )
    n_whole = int(re.match(pattern, done.stderr)[1])
    left = assert_only_whole_files(disk.seen_from_outside / "raw", expected, n_files=10)
    identifiers = {name.removesuffix(".png").rpartition("/")[2] for name in left if "labelsTr" in name}
    assert n_whole == sum(f"{DATASETS['isic']}/imagesTr/{name}_0000.png" in left for name in identifiers)
    assert contents(tmp_path / "source") == before

    disk.remount("size=50m")
    again = disk.run(command("isic", sources, disk.path / "raw"))
    assert again.returncode == 0, again.stderr
    assert contents(disk.seen_from_outside / "raw") == expected


@pytest.mark.slow
def test_on_a_small_file_system_an_archive_leaves_nothing(disk, tmp_path):
    # Each of these files takes a block of 4 KiB, of which the archive says nothing.
    archive = packed(draw_photographs(tmp_path / "source", 400, shape=(16, 16), n_plain=400), tmp_path / "set.zip")

    done = disk.run(command("isic", [archive], disk.path / "raw", "--size", "original"))

    assert done.returncode == 1
    assert f"No space left on device, while unpacking {archive} into {disk.path / 'raw'}" in done.stderr
    assert contents(disk.seen_from_outside) == {}
