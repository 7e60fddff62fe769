"""What happens to a conversion when the world around it fails."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = "nnunet_mamba_conversion.json"
N_IMAGES = 60


@pytest.fixture
def large_part(draw_part, tmp_path):
    """A training part in folders whose names have spaces and letters that are not ASCII."""
    images, masks = tmp_path / "Übung 1" / "photos à trier", tmp_path / "Übung 1" / "masques"
    draw_part(images, masks, [f"ISIC_{number:07d}" for number in range(N_IMAGES)], shape=(300, 400))
    return images, masks


def command(part, output):
    nnunet_mamba = str(Path(sys.executable).parent / "nnunet-mamba")
    return [nnunet_mamba, "convert", "isic", *map(str, part), "--output", str(output), "--no-progress", "--jobs", "2"]


def contents(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    recipe = json.loads(files.pop(f"Dataset101_ISIC/{RECIPE}"))
    return {**files, RECIPE: json.dumps(recipe, sort_keys=True).encode()}


@pytest.mark.slow
def test_killed_at_ten_random_moments_and_started_again_it_is_the_undisturbed_result(large_part, tmp_path):
    start = time.monotonic()
    subprocess.run(command(large_part, tmp_path / "undisturbed"), check=True, capture_output=True)
    duration = time.monotonic() - start
    expected = contents(tmp_path / "undisturbed")
    chance = random.Random(0)

    n_killed = 0
    for attempt in range(10):
        target = tmp_path / f"disturbed ü {attempt}"
        process = subprocess.Popen(
            command(large_part, target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait((attempt + chance.random()) / 10 * duration)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            n_killed += 1
        again = subprocess.run(command(large_part, target), capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert contents(target) == expected

    assert n_killed >= 5


@pytest.mark.slow
def test_of_two_runs_at_once_one_refuses_or_finds_nothing_to_do(large_part, tmp_path):
    runs = [
        subprocess.Popen(
            command(large_part, tmp_path / "shared"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [run.communicate() for run in runs]

    failed = [stderr for run, (_, stderr) in zip(runs, outputs, strict=True) if run.returncode]
    assert len(failed) == 1
    assert "another process" in failed[0]
    subprocess.run(command(large_part, tmp_path / "alone"), check=True, capture_output=True)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
