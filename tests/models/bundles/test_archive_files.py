import stat
import zipfile
from pathlib import PurePosixPath

import pytest

from nnunet_mamba.models.bundles.archive_files import files_in, read_file_in

NAME = PurePosixPath("model/weights.bin")
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def archive(tmp_path):
    """A harmless archive of one file."""
    return written(tmp_path / "model.zip")


def written(path, *others, content=CONTENT):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in ((str(NAME), content), *others):
            archive.writestr(name, text)
    return path


def test_files_are_read_without_what_file_managers_add(tmp_path):
    path = written(tmp_path / "model.zip", ("__MACOSX/._weights.bin", b"x"), ("model/.DS_Store", b"x"))
    assert files_in(path) == [NAME]
    assert read_file_in(path, NAME, most=len(CONTENT)) == CONTENT


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "C:/evil", "model/../../evil"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, name):
    path = written(tmp_path / "evil.zip", (name, b"x"))
    with pytest.raises(ValueError, match=r"evil\.zip: .* leads out of the archive's own folder"):
        files_in(path)


def test_links_are_refused(archive):
    with zipfile.ZipFile(archive, "a") as opened:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match=r"model\.zip: 'link' is a link, expected files"):
        read_file_in(archive, NAME, most=len(CONTENT))


def test_a_name_that_is_there_twice_is_refused(archive):
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr(str(NAME), b"other")
    with pytest.raises(ValueError, match=r"holds 'model/weights\.bin' twice"):
        files_in(archive)


def test_a_file_that_is_too_large_is_refused(archive):
    with pytest.raises(ValueError, match=r"weights\.bin has 0 MiB, expected at most 0 MiB; do not trust this file"):
        read_file_in(archive, NAME, most=len(CONTENT) - 1)


def test_a_file_that_would_grow_beyond_measure_is_refused(tmp_path):
    path = written(tmp_path / "bomb.zip", content=bytes(64 * 2**20))
    with pytest.raises(
        ValueError, match=r"weights\.bin says that \d+ bytes become 67108864, .* do not trust this file"
    ):
        read_file_in(path, NAME, most=2**30)


@pytest.mark.parametrize("difference", [-8, 8])
def test_a_size_that_is_not_true_is_no_way_around(archive, difference):
    size, lie = (number.to_bytes(4, "little") for number in (len(CONTENT), len(CONTENT) + difference))
    content = archive.read_bytes()
    assert content.count(size) == 2
    archive.write_bytes(content.replace(size, lie))
    with pytest.raises(ValueError, match=r"model\.zip is damaged, or no zip archive"):
        read_file_in(archive, NAME, most=2**30)


def damaged_offset(content):
    """Let the archive say that its file begins before its start."""
    end = content.rindex(b"PK\5\6")
    return content[: end + 16] + (2**31).to_bytes(4, "little") + content[end + 20 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-30], lambda content: b"", lambda content: content[50:], damaged_offset],
)
def test_a_damaged_archive_is_told(archive, damage):
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match=r"model\.zip is damaged, or no zip archive \(.*\); get it again"):
        read_file_in(archive, NAME, most=2**30)


def test_a_missing_archive_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        files_in(tmp_path / "none.zip")
