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
    assert names == {RECORD, "LICENSE", "ThirdPartyNotices.txt.gz", *(f"{part}.gz" for part in PARTS)}


def test_its_licence_and_those_of_its_parts_come_along():
    text = (vendor_folder() / "LICENSE").read_text()
    assert "MIT License" in text
    assert "Copyright (c) Microsoft Corporation" in text
    # Of what is compiled into it.
    notices = gzip.decompress((vendor_folder() / "ThirdPartyNotices.txt.gz").read_bytes()).decode()
    for part in ("protobuf", "abseil", "eigen"):
        assert part in notices.lower()


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
