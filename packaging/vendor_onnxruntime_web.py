"""Fetch onnxruntime-web from npm into the package; run by ``make vendor``.

What npm gives is compared with a hash that stands here, so that a registry cannot slip in something else. To take
another version, change both, and look at the page's tests.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.web.runtime_files import PARTS, RECORD, vendor_folder

VERSION = "1.22.0"
# As `npm view onnxruntime-web@1.22.0 dist.integrity` told it.
INTEGRITY = "sha512-Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg=="


def main() -> None:
    """Write the packed parts and their record."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        digest = hashlib.sha512(archive.read_bytes()).digest()
        found = f"sha512-{base64.b64encode(digest).decode()}"
        if found != INTEGRITY:
            raise SystemExit(
                f"npm gave onnxruntime-web {VERSION} with {found}, expected {INTEGRITY}; nothing is written"
            )
        packed = {f"{part}.gz": _packed(archive, part) for part in PARTS}
    target = vendor_folder()
    for name, content in packed.items():
        with replacing(target / name) as temporary:
            temporary.write_bytes(content)
    record = {
        "package": "onnxruntime-web",
        "version": VERSION,
        "integrity": INTEGRITY,
        "licence": "MIT",
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in packed.items()},
    }
    with replacing(target / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, content in packed.items():
        sys.stdout.write(f"{target / name}: {len(content)} bytes\n")


def _packed(archive: Path, part: str) -> bytes:
    with tarfile.open(archive) as files:
        member = files.extractfile(f"package/dist/{part}")
        assert member is not None, f"{part} is no file"
        # Without the time, so that equal content gives equal bytes.
        return gzip.compress(member.read(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    main()
