import io
import random
import stat
import zipfile

import pytest

from nnunet_mamba.data import archives
from nnunet_mamba.data.archives import ArchiveError, unpacked
from nnunet_mamba.data.folder_lock import only_writer


def packed(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_folder_is_itself(tmp_path):
    with unpacked(tmp_path, beside=tmp_path / "out") as folder:
        assert folder == tmp_path
    assert not (tmp_path / "out").exists()


def test_an_archive_is_a_folder_while_the_block_runs(tmp_path):
    content = {"images/ä b.jpg": b"picture", "masks/deep/er/ä b.png": b"mask", "empty/": b""}
    archive = packed(tmp_path / "set.zip", content)

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert folder.parent.parent == tmp_path / "out"
        assert folder.name == archive.name
        assert (folder / "images/ä b.jpg").read_bytes() == b"picture"
        assert (folder / "masks/deep/er/ä b.png").read_bytes() == b"mask"

    assert list((tmp_path / "out").iterdir()) == []


def test_a_packed_folder_is_what_is_in_it(tmp_path):
    archive = packed(tmp_path / "set.zip", {"Training_Input/a.jpg": b"1", "__MACOSX/._a.jpg": b""})

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["a.jpg"]


def test_nothing_stays_when_the_block_fails(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"1"})

    with pytest.raises(ZeroDivisionError), unpacked(archive, beside=tmp_path / "out"):
        _ = 1 / 0

    assert list((tmp_path / "out").iterdir()) == []


OUTSIDE = ["../outside", "/etc/outside", "a/../../outside", "..\\outside", "C:\\outside", "C:/o"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_refused(tmp_path, name):
    archive = packed(tmp_path / "set.zip", {"good": b"1", name: b"bad"})

    with pytest.raises(ArchiveError, match="leads out of the archive's own folder"), unpacked(archive, beside=tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with (
        pytest.raises(ArchiveError, match="'link' is a link, expected files"),
        unpacked(tmp_path / "set.zip", beside=tmp_path),
    ):
        pass


def test_bombs_are_refused_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALLEST_SUSPICIOUS", 2**20)
    archive = packed(tmp_path / "set.zip", {"bomb": bytes(4 * 2**20)})

    with pytest.raises(ArchiveError, match="0 MiB become 4 MiB"), unpacked(archive, beside=tmp_path):
        pass


def test_more_than_the_disk_has_is_refused(tmp_path, monkeypatch):
    archive = packed(tmp_path / "set.zip", {"a": b"1" * 1000})
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage)

    with pytest.raises(ArchiveError, match="are free beside the target"), unpacked(archive, beside=tmp_path):
        pass


def test_a_member_that_lies_about_its_size_is_stopped(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"x" * 5000})
    content = bytearray(archive.read_bytes())
    # The true length stands in the local header and in the directory.
    for place in (22, content.index(b"PK\x01\x02") + 24):
        content[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)

    with pytest.raises(ArchiveError, match="damaged"), unpacked(archive, beside=tmp_path):
        pass


def test_the_same_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "2")

    with pytest.raises(ArchiveError, match="holds 'a' twice"), unpacked(tmp_path / "set.zip", beside=tmp_path):
        pass


def test_what_a_killed_run_unpacked_is_removed_and_what_another_run_needs_is_not(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"1"})
    abandoned, used = (tmp_path / "out" / f".partial-unpacked-{name}" for name in ("abandoned", "used"))
    for folder in (abandoned, used):
        (folder / "images").mkdir(parents=True)

    with only_writer(used), unpacked(archive, beside=tmp_path / "out"):
        assert not abandoned.exists()

    assert list((tmp_path / "out").iterdir()) == [used]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_changed_bit_is_refused_or_changes_nothing(tmp_path, method):
    data = str(list(range(400))).encode()
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", method) as archive:
        archive.writestr("a", data)
    whole = (tmp_path / "whole.zip").read_bytes()
    chance = random.Random(method)
    n_refused = 0
    for _ in range(60):
        changed = bytearray(whole)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        (tmp_path / "set.zip").write_bytes(changed)
        try:
            with unpacked(tmp_path / "set.zip", beside=tmp_path / "out") as folder:
                # The name has no checksum.
                assert [path.read_bytes() for path in folder.iterdir()] == [data]
        except ArchiveError:
            n_refused += 1
        assert not any(tmp_path.glob("out/*"))
    assert n_refused > 40


@pytest.mark.parametrize("damage", ["a byte", "the end"])
def test_damage_is_named_and_leaves_nothing(tmp_path, damage):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(range(256)) * 40)
    content = bytearray(data.getvalue())
    if damage == "a byte":
        content[60] ^= 0xFF
    else:
        del content[-40:]
    (tmp_path / "set.zip").write_bytes(content)

    with pytest.raises(ArchiveError, match=r"set\.zip"), unpacked(tmp_path / "set.zip", beside=tmp_path / "out"):
        pass

    assert not any(tmp_path.glob("out/*"))
