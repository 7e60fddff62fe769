import pytest

from nnunet_mamba.system import text_files
from nnunet_mamba.system.text_files import read_text, read_utf8_text

TEXT = "image,patient\nä,ö 1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_editors_and_spreadsheets_is_read(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "a.csv") == TEXT


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(ValueError, match="it is a folder, expected a text file"):
        read_text(tmp_path)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_with_its_mark_is_read(tmp_path, mark):
    encoding = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    (tmp_path / "a.csv").write_bytes(mark + TEXT.encode(encoding))
    assert read_text(tmp_path / "a.csv") == TEXT


@pytest.mark.parametrize("content", [b"\xe4,\xf6", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a\0\0\0b"])
def test_other_content_is_no_text(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match="no text"):
        read_text(tmp_path / "a.csv")


def test_too_much_text_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "LARGEST_TEXT", 10)
    (tmp_path / "a.csv").write_text("1" * 11)
    with pytest.raises(ValueError, match="expected a text of at most"):
        read_text(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8-sig", "^begins with a byte order mark, which nnU-Net cannot read"),
        ("utf-16", "^is UTF-16 text, which nnU-Net cannot read"),
        ("latin-1", r"^is not UTF-8 text \(byte 14: "),
    ],
)
def test_what_nnunet_cannot_read_is_refused(tmp_path, encoding, words):
    (tmp_path / "a.json").write_bytes(TEXT.encode(encoding))
    with pytest.raises(ValueError, match=words):
        read_utf8_text(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(TEXT.encode())
    assert read_utf8_text(tmp_path / "a.json") == TEXT
