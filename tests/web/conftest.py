import json
import shutil
import subprocess

import numpy as np
import pytest

from nnunet_mamba.web.page_source import page_folder

# What every script is given: arrays of bytes by name, its other arguments, and a place for its results.
HARNESS = """
import {{ readFileSync, writeFileSync }} from "node:fs";
const folder = {folder};
const read = (name) => new Uint8ClampedArray(readFileSync(`${{folder}}/${{name}}.bin`));
const write = (name, array) => writeFileSync(`${{folder}}/${{name}}.bin`, array);
const given = JSON.parse(readFileSync(`${{folder}}/given.json`, "utf8"));
let told = null;
{body}
writeFileSync(`${{folder}}/told.json`, JSON.stringify(told));
"""


class Node:
    """Runs scripts that import the page's modules."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder

    def run(self, body, *, given=None, **arrays):
        """Run a script and return what it has told.

        Args:
            body: of the script, which reads ``given`` and ``read(name)``, and sets ``told`` or calls ``write``.
            given: JSON values.
            arrays: of bytes, by name.
        """
        for name, array in arrays.items():
            (self.folder / f"{name}.bin").write_bytes(np.ascontiguousarray(array).tobytes())
        (self.folder / "given.json").write_text(json.dumps(given))
        script = self.folder / "script.js"
        script.write_text(HARNESS.format(folder=json.dumps(str(self.folder)), body=body))
        done = subprocess.run([self.program, str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads((self.folder / "told.json").read_text())

    def array(self, name, shape):
        """Return bytes that a script has written."""
        return np.frombuffer((self.folder / f"{name}.bin").read_bytes(), dtype=np.uint8).reshape(shape)


@pytest.fixture
def node(tmp_path):
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    folder = tmp_path / "page"
    shutil.copytree(page_folder(), folder)
    # By their names alone, older versions take .js files for scripts.
    (folder / "package.json").write_text('{"type": "module"}')
    return Node(program, folder)
