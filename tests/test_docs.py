"""The docs say what the code does: generated pages are fresh, links lead somewhere, commands exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from nnunet_mamba import create_network
from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.cli.main import app
from nnunet_mamba.demo.pipeline import Settings
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes
from nnunet_mamba.training.plans_names import plans_name

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", ["networks", "trainers", "published-results"])
def test_generated_pages_are_what_the_code_says(name):
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs/generate_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / f"docs/reference/{name}.md").read_text(encoding="utf-8")
    assert page == getattr(module, f"{name.replace('-', '_')}_page")(), "run: python docs/generate_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_trainers_in_commands_exist(page):
    for name in re.findall(r"-tr (nnUNetTrainer[A-Z]\w+)", page.read_text(encoding="utf-8")):
        assert name in trainer_names() or load_trainer_with_suffixes(name)


def _trainings_without_plans(text):
    """The commands of a page that train or predict with a limited batch, and not with plans made for the network.

    A training needs the ``nnunet-mamba plan`` of its plans before it on the page, a prediction only their name.
    """
    planned, found = set(), []
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            # What follows an option; crossval names its data set after the command, as nnUNetv2_train does.
            options = {word: following for word, following in pairwise(words) if word[0] == "-"}
            match words:
                case ["nnunet-mamba", "plan", dataset, *_]:
                    base = options.get("--base", "nnUNetPlans")
                    planned |= {(dataset, plans_name(name, base)) for name in options["--trainers"].split(",")}
                case ["nnunet-mamba", "crossval", dataset, *_]:
                    trainers, chosen = options["--trainers"].split(","), options.get("--plans")
                    wanted = {(dataset, plans_name(name, "nnUNetPlans")) for name in trainers if _limits_batches(name)}
                    if wanted and not (chosen == "own" and wanted <= planned):
                        found.append(line)
                case ["nnUNetv2_train", dataset, *_] if _limits_batches(options["-tr"]):
                    if (dataset, options.get("-p")) not in planned:
                        found.append(line)
                case ["nnUNetv2_predict", *_] if _limits_batches(options["-tr"]):
                    if options.get("-p") != plans_name(options["-tr"], "nnUNetPlans"):
                        found.append(line)
    return found


def _limits_batches(trainer):
    if not TrainerName.parse(trainer).is_ours:
        return False
    found = load_trainer(trainer) if trainer in trainer_names() else load_trainer_with_suffixes(trainer)
    return found.recipe.largest_batch_size is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_make_plans_for_the_network_before_they_train_it(page):
    assert _trainings_without_plans(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("commands", "n_found"),
    [
        ("nnUNetv2_train 7 2d 0 -tr nnUNetTrainerUltraLBM", 1),
        ("nnUNetv2_train 7 2d 0 -tr nnUNetTrainerUltraLBM \\\n  -p nnUNetUltraLBMPlans", 1),
        ("nnunet-mamba plan 7 --trainers nnUNetTrainerUltraLBM\nnnUNetv2_train 7 2d 0 -tr nnUNetTrainerUltraLBM", 1),
        (
            "nnunet-mamba plan 7 --trainers nnUNetTrainerUltraLBM\n"
            "nnUNetv2_train 7 2d 0 -tr nnUNetTrainerUltraLBM_20epochs -p nnUNetUltraLBMPlans",
            0,
        ),
        ("nnUNetv2_train 7 2d 0 -tr nnUNetTrainerUltraLBM_nnunet\nnnUNetv2_train 7 2d 0 -tr nnUNetTrainer_5epochs", 0),
        ("nnunet-mamba crossval 7 2d --trainers nnUNetTrainerUMambaBot,nnUNetTrainer", 0),
        ("nnunet-mamba crossval 7 2d --trainers nnUNetTrainerUMambaBot,nnUNetTrainerVMUNet", 1),
        (
            "nnunet-mamba plan 7 --trainers nnUNetTrainerVMUNet\n"
            "nnunet-mamba crossval 7 2d --trainers nnUNetTrainerVMUNet",
            1,
        ),
        ("nnUNetv2_predict -i A -o B -d 7 -c 2d -tr nnUNetTrainerVMUNet", 1),
    ],
)
def test_a_page_that_trains_without_plans_for_the_network_is_found(commands, n_found):
    assert len(_trainings_without_plans(f"Text\n\n```bash\n{commands}\n```\n")) == n_found


def test_the_first_training_page_names_the_demos_trainer():
    page = (ROOT / "docs/getting-started/first-training.md").read_text(encoding="utf-8")
    assert Settings().trainer in page


def test_every_command_and_option_is_in_the_reference():
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")

    def walk(command, path):
        assert path in page, path
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option in page, f"{path} {option}"
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")

    walk(get_command(app), "nnunet-mamba")


def test_every_page_is_linked_from_the_index():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "README.md":
            assert str(page.relative_to(ROOT / "docs")) in index


def test_the_page_on_use_without_nnunet_runs(tmp_path, monkeypatch):
    """Its code blocks, one after the other, on small images; the compiler is replaced by one that compiles nothing."""
    monkeypatch.chdir(tmp_path)
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: compile_with(network, backend="eager", fullgraph=True))
    torch.manual_seed(0)
    masks = torch.zeros(2, 1, 64, 32)
    masks[..., 16:48, 8:24] = 1
    images = masks + 0.1 * torch.randn(2, 3, 64, 32)
    page = (ROOT / "docs/how-to/use-without-nnunet.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"loader": [(images, masks)] * 30, "images": images}

    for block in blocks:
        exec(block, names)

    assert len(blocks[0].strip().splitlines()) <= 14
    with torch.no_grad():
        prediction = names["network"].eval()(images) > 0
        assert (prediction == (masks > 0)).float().mean() > 0.9
        assert torch.equal(names["again"].eval()(images), names["network"](images))
        torch.testing.assert_close(names["program"](images), names["network"](images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(names["compiled"](images), names["network"](images))
        torch.testing.assert_close(names["traced"](images), names["network"](images), rtol=1e-4, atol=1e-5)
    assert names["logits"].isfinite().all()
    assert sum(p.numel() for p in names["unshared"].parameters()) > 49_457


def test_an_exported_program_is_loaded_by_a_process_that_imports_the_operators(tmp_path):
    network = create_network("ultralight_vm_unet", 3, 1).eval()
    image = torch.randn(1, 3, 32, 32)
    torch.export.save(torch.export.export(network, (image,)), tmp_path / "network.pt2")
    script = "import sys, torch, nnunet_mamba.ops; torch.export.load(sys.argv[1]).module()(torch.zeros(1, 3, 32, 32))"

    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "network.pt2")], capture_output=True, text=True, check=False
    )

    assert process.returncode == 0, process.stderr
