import shutil
import subprocess

import pytest

from nnunet_mamba.web.page_source import joined_modules, page_folder

ENTRIES = ("page.js", "segmenter.js")


def write(folder, **modules):
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return folder / "entry.js"


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_page_joins_into_one_script_that_is_well_formed(tmp_path, entry):
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    script = tmp_path / "joined.mjs"
    script.write_text(joined_modules(page_folder() / entry))
    done = subprocess.run([program, "--check", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_module_of_the_page_is_in_a_script():
    joined = "".join(joined_modules(page_folder() / entry) for entry in ENTRIES)
    for module in page_folder().glob("*.js"):
        own = [line for line in module.read_text().splitlines() if line.startswith(("export ", "async function "))]
        assert all(line.removeprefix("export ") in joined for line in own), module.name


def test_modules_come_once_and_after_what_they_need(tmp_path):
    entry = write(
        tmp_path,
        entry='/** Runs. */\nimport { first } from "./a.js";\nimport { both } from "./c.js";\n\nfirst(both);\n',
        a='import { both } from "./c.js";\n\n/** Tell. */\nexport function first() {}\n',
        c="export const both = 1;\n",
    )
    assert joined_modules(entry) == "const both = 1;\n\nfunction first() {}\n\nfirst(both);\n"


def test_what_a_script_imports_while_it_runs_stays(tmp_path):
    entry = write(tmp_path, entry="const module = await import(url);\n")
    assert joined_modules(entry) == "const module = await import(url);\n"


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ({"entry": 'import all from "./a.js";\n'}, "entry.js: 'import all from"),
        ({"entry": 'import { a } from "elsewhere";\n'}, "entry.js: 'import { a } from"),
        ({"entry": "export default 1;\n"}, "entry.js: 'export default 1;'"),
        (
            {"entry": 'import { a } from "./a.js";\nconst b = 1;\n', "a": "const b = 2;\nexport const a = b;\n"},
            "both have a b",
        ),
        ({"entry": 'import { a } from "./a.js";\n', "a": 'import { b } from "./entry.js";\n'}, "cut the circle"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path, modules, told):
    with pytest.raises(ValueError, match="js") as caught:
        joined_modules(write(tmp_path, **modules))
    assert told in str(caught.value)


def test_a_missing_module_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.js"):
        joined_modules(write(tmp_path, entry='import { a } from "./gone.js";\n'))
