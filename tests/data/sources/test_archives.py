import io
import random
import stat
import zipfile

import pytest

from nnunet_mamba.data.sources import archives
from nnunet_mamba.data.sources.archives import ArchiveError, unpacked
from nnunet_mamba.system.folder_lock import only_writer


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

    assert not (tmp_path / "out").exists()


def test_a_packed_folder_is_what_is_in_it(tmp_path):
    archive = packed(tmp_path / "set.zip", {"Training_Input/a.jpg": b"1", "__MACOSX/._a.jpg": b""})

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["a.jpg"]


def test_a_folder_that_was_there_or_holds_something_stays(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"1"})
    (tmp_path / "there").mkdir()

    for name in ("there", "new/deeper"):
        with unpacked(archive, beside=tmp_path / name):
            (tmp_path / name / "result").mkdir()
        assert [path.name for path in (tmp_path / name).iterdir()] == ["result"]


def test_nothing_stays_when_the_block_fails(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"1"})

    with pytest.raises(ZeroDivisionError), unpacked(archive, beside=tmp_path / "out"):
        _ = 1 / 0

    assert not (tmp_path / "out").exists()


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

    with only_writer(used, beside=True), unpacked(archive, beside=tmp_path / "out"):
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


def test_folders_of_windows_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in {"data\\": b"", "data\\images\\a.png": b"1", "data\\masks\\a.png": b"2"}.items():
            archive.writestr(zipfile.ZipInfo(name), content)

    with unpacked(tmp_path / "set.zip", beside=tmp_path / "out") as folder:
        assert (folder / "images" / "a.png").read_bytes() == b"1"
        assert (folder / "masks" / "a.png").read_bytes() == b"2"


def test_names_in_utf_8_are_read_where_the_archive_does_not_say_so(tmp_path):
    archive = packed(tmp_path / "set.zip", {"Läsion ü.png": b"1", "x": b""})
    content = archive.read_bytes().replace(b"\x00\x08", b"\x00\x00")
    assert not zipfile.ZipFile(io.BytesIO(content)).infolist()[0].flag_bits & 0x800
    archive.write_bytes(content)

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert (folder / "Läsion ü.png").read_bytes() == b"1"


def test_names_of_old_code_pages_stay_what_they_are(tmp_path):
    archive = packed(tmp_path / "set.zip", {"L_sion.png": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"L_sion", b"L\xe4sion"))

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["L\u03a3sion.png"]


def test_what_file_managers_add_is_left_out(tmp_path):
    litter = {"__MACOSX/images/._a.png": b"", ".DS_Store": b"", "images/Thumbs.db": b"", "images/desktop.ini": b""}
    archive = packed(tmp_path / "set.zip", {"images/a.png": b"1", **litter})

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize("wrapper", ["set/set", "x/set", "x/training"])
def test_a_folder_packed_twice_is_what_is_in_it(tmp_path, wrapper):
    archive = packed(tmp_path / "set.zip", {f"{wrapper}/images/a.png": b"1", f"{wrapper}/masks/a.png": b"2"})

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["images", "masks"]


def test_the_folder_of_a_single_patient_stays(tmp_path):
    archive = packed(tmp_path / "set.zip", {"patients/p1/a.png": b"1", "patients/p1/b.png": b"2"})

    with unpacked(archive, beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["p1"]


def test_unknown_ways_to_pack_are_named(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a.bin": b"1" * 100})
    content = bytearray(archive.read_bytes())
    for place in (8, content.index(b"PK\x01\x02") + 10):
        content[place : place + 2] = (9).to_bytes(2, "little")
    archive.write_bytes(content)

    with (
        pytest.raises(ArchiveError, match="Deflate64, as Windows packs large files"),
        unpacked(archive, beside=tmp_path),
    ):
        pass


def test_encrypted_files_are_named(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a.bin": b"1" * 100})
    content = bytearray(archive.read_bytes())
    for place in (6, content.index(b"PK\x01\x02") + 8):
        content[place] |= 1
    archive.write_bytes(content)

    with pytest.raises(ArchiveError, match=r"'a\.bin' is encrypted"), unpacked(archive, beside=tmp_path):
        pass


def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a": b"1", "a/b": b"2"})

    with pytest.raises(ArchiveError, match="holds 'a' as a file and as a folder"), unpacked(archive, beside=tmp_path):
        pass


@pytest.mark.parametrize("name", ["set.rar", "set.7z", "set.tar.gz", "set.TGZ"])
def test_other_archives_are_refused_in_words(tmp_path, name):
    (tmp_path / name).write_bytes(b"Rar!")

    with (
        pytest.raises(ArchiveError, match=r"only \.zip archives are unpacked"),
        unpacked(tmp_path / name, beside=tmp_path),
    ):
        pass


def test_a_missing_archive_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError), unpacked(tmp_path / "gone.zip", beside=tmp_path):
        pass


def test_errors_of_the_block_name_the_archive(tmp_path):
    archive = packed(tmp_path / "set.zip", {"x/a": b"1", "y/a": b"1"})

    with pytest.raises(ValueError, match="nothing in") as caught, unpacked(archive, beside=tmp_path / "out") as folder:
        raise ValueError(f"nothing in {folder / 'x'}")

    assert str(caught.value) == f"nothing in {archive}/x"


def test_names_too_long_for_a_disk_are_named(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a" * 300 + ".png": b"1"})

    with pytest.raises(ArchiveError, match="a name too long for this disk"), unpacked(archive, beside=tmp_path):
        pass


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_names_of_nothing_are_no_files(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x/a.png", b"1")
        archive.writestr(zipfile.ZipInfo(name), b"")

    with unpacked(tmp_path / "set.zip", beside=tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == ["a.png"]
