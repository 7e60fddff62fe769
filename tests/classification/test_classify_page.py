"""The code blocks of docs/how-to/classify.md, one after the other, on a few small images."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cifar_pickles import write_cifar
from PIL import Image

from nnunet_mamba import create_network

PAGE = Path(__file__).parents[2] / "docs/how-to/classify.md"


@pytest.fixture
def _images_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), ["image_id,melanoma,seborrheic_keratosis"]
    places = [f"images/{name}/{number}.jpg" for name in ("naevus", "melanoma") for number in range(4)]
    for number, place in enumerate([*places, "new/1.jpg", "new/2.jpg"]):
        for file in (Path(place), Path(f"ISIC-2017_Training_Data/ISIC_{number}.jpg")):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(file)
        rows.append(f"ISIC_{number},{number % 2}.0,0.0")
    Path("ISIC-2017_Training_Part3_GroundTruth.csv").write_text("\n".join(rows))
    write_cifar(Path("cifar-10-batches-py"))
    torch.save({"model": create_network("vim_tiny", 3, 1000).state_dict()}, "vim_tiny.pth")


@pytest.mark.usefixtures("_images_of_the_page")
def test_the_page_runs_and_trains_in_ten_lines(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 10
    # Fewer epochs of a smaller network, whose last accuracy nobody looks at.
    shorter = blocks[0].replace("epochs=30", 'epochs=1, overrides={"depth": 1}, device="cpu"')
    names = {"pixels": np.zeros((2, 8, 8), np.uint8), "labels": [0, 1]}

    for block in (shorter, *blocks[1:]):
        exec(block, names)

    assert re.search(r"\[\('(naevus|melanoma)', 0\.\d+\), \('(naevus|melanoma)', 0\.\d+\)\]", capsys.readouterr().out)
    assert names["lesions"].counts() == {"melanoma": 5, "other": 5}
    assert (len(names["training"]), len(names["held_out"]), len(names["images"])) == (30, 6, 2)
    assert torch.equal(names["network"].head.weight, torch.load("vim_tiny.pth")["model"]["head.weight"])
