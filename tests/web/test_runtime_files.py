import gzip
import re
import shutil

import pytest

from nnunet_mamba.web.runtime_files import LOADER, MODULE, PARTS, RECORD, WASM, read_runtime, vendor_folder


def test_the_runtime_that_comes_along_is_the_one_of_its_record():
    runtime = read_runtime()
    unpacked = {part: gzip.decompress(content) for part, content in runtime.packed.items()}
    assert unpacked.keys() == set(PARTS)
    assert unpacked[WASM].startswith(b"\0asm")
    assert f"v{runtime.version}" in unpacked[MODULE].decode()
    assert b"export default" in unpacked[LOADER]


def test_nothing_else_lies_beside_it():
    names = {file.name for file in vendor_folder().iterdir()}
    assert names == {RECORD, "LICENSE", *(f"{part}.gz" for part in PARTS)}


def test_the_licence_asks_for_its_own_text():
    text = (vendor_folder() / "LICENSE").read_text()
    assert "MIT License" in text
    assert "Copyright (c) Microsoft Corporation" in text


def test_the_runtime_leaves_room_in_a_wheel_of_6_mb():
    assert sum(file.stat().st_size for file in vendor_folder().iterdir()) <= 3_000_000


@pytest.mark.parametrize("part", PARTS)
def test_another_file_than_the_record_says_is_refused(tmp_path, part):
    folder = tmp_path / "vendor"
    shutil.copytree(vendor_folder(), folder)
    file = folder / f"{part}.gz"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(file.name)) as caught:
        read_runtime(folder)
    assert "make vendor" in str(caught.value)
