"""Measure the conversion of dermoscopy photographs of 6 to 12 megapixels: speed, memory, and the share of decoding.

    python benchmarks/conversion.py [--copies 256] [--repeats 3] [--folder FOLDER]

Converts copies, numbered in a corner, of the ISIC photographs in $NNUNET_MAMBA_REAL_DATA, or of drawn ones. The first
table is of single runs: an eighth of the cases, then all of them; memory is flat if both rows hold the same. The second
has medians of runs that take turns; only its ratios are comparable, those of seconds on an idle machine alone, and
--repeats 0 leaves it out. Seconds on the processor are those of all processes together. One pass of decoding reads each
file once: photographs at the scale that the converter takes, masks in full. The converter makes two passes, because it
checks everything before it writes anything. Linux only: memory is read from /proc.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, features
from timing import Task, machine

from nnunet_mamba.data.formats.image_files import DRAFT_MARGIN, load_photograph, resized_image
from nnunet_mamba.demo.lesions import draw_photograph
from nnunet_mamba.system.parallel import map_in_order

SIDE = 256
SHAPES = ((2000, 3008), (2448, 3264), (2592, 3872), (3000, 4000))
# With these a drawn photograph has the size of a published one, 1.4 to 3 MB.
NOISE, QUALITY = 3, 95
# Pixels; an eighth of them is left where the converter looks for equal pictures.
SQUARE = 16
N_IN_FULL = 24
SECONDS_BETWEEN_LOOKS = 0.1
# Most memory so far, and memory now, in /proc/PID/status.
HELD = ("VmHWM", "VmRSS")


@dataclass(frozen=True)
class Memory:
    """The most memory that a conversion took, in MiB: its first process, the largest other, all at one time."""

    parent: float = 0
    worker: float = 0
    together: float = 0


def draw_sources(folder: Path) -> list[tuple[Path, Path]]:
    """Draw a photograph and its mask for each of SHAPES; return their files."""
    sources = []
    for number, shape in enumerate(SHAPES):
        drawn = draw_photograph(seed=0, number=number, shape=(shape[0] // 4, shape[1] // 4))
        large = Image.fromarray(drawn.image).resize(shape[::-1], Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).normal(0, NOISE, (*shape, 3))
        noisy = Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8))
        image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
        noisy.save(image, quality=QUALITY)
        Image.fromarray(drawn.mask).convert("L").resize(shape[::-1], Image.Resampling.NEAREST).save(mask)
        sources.append((image, mask))
    return sources


def real_sources(folder: Path) -> list[tuple[Path, Path]]:
    """Return the files of the excerpt of ISIC 2017."""
    masks = folder / "ISIC-2017_Test_v2_Part1_GroundTruth"
    images = sorted((folder / "ISIC-2017_Test_v2_Data").glob("*.jpg"))
    return [(image, masks / f"{image.stem}_segmentation.png") for image in images]


@cache
def decoded(path: Path) -> tuple[Image.Image, dict[str, Any]]:
    """Return a photograph, and the options that save it as a JPEG of the size of its file."""
    with Image.open(path) as picture:
        same_size = {"qtables": picture.quantization, "subsampling": JpegImagePlugin.get_sampling(picture)}
        return picture.convert("RGB"), same_size


def write_copy(sources: list[tuple[Path, Path]], folder: Path, number: int) -> float:
    """Write a copy of one source as case ``number``; return its megapixels.

    Its number is in a corner, as black and white squares, because the converter refuses equal pictures.
    """
    image, mask = sources[number % len(sources)]
    picture, same_size = decoded(image)
    bits = np.array([number >> bit & 1 for bit in range(16)], np.uint8).reshape(4, 4)
    numbered = picture.copy()
    numbered.paste(Image.fromarray(255 * bits.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)))
    name = f"ISIC_{number:07d}"
    numbered.save(folder / "images" / f"{name}.jpg", **same_size)
    shutil.copy(mask, folder / "masks" / f"{name}_segmentation.png")
    return picture.width * picture.height / 1e6


def write_cases(sources: list[tuple[Path, Path]], folder: Path, n_cases: int) -> float:
    """Write ``n_cases`` photographs with masks; return their megapixels."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    write = partial(write_copy, sources, folder)
    jobs = os.cpu_count() or 1
    return sum(map_in_order(write, range(n_cases), jobs=jobs, description="preparing", progress=True))


def start_conversion(folder: Path, jobs: int) -> subprocess.Popen[bytes]:
    """Start the command on a folder with images and masks, writing beside them."""
    output = folder / "raw"
    shutil.rmtree(output, ignore_errors=True)
    command = [str(Path(sys.executable).parent / "nnunet-mamba"), "convert", "isic", str(folder), "--no-progress"]
    options = ["--output", str(output), "--size", str(SIDE), "--jobs", str(jobs)]
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)


def convert(folder: Path, jobs: int) -> None:
    """Run the command."""
    if start_conversion(folder, jobs).wait() != 0:
        raise RuntimeError(f"the conversion of {folder} failed; its error is above")


def memory_of(pid: int) -> Memory:
    """Return the memory of a process and its descendants: two peaks so far, and all of them at this moment."""
    peaks, current, waiting = [], 0.0, [pid]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        try:
            lines = (process / "status").read_text().splitlines()
            waiting += [int(child) for task in process.glob("task/*/children") for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        kib = {name: int(text.split()[0]) for name, _, text in (line.partition(":") for line in lines) if name in HELD}
        # A process that is ending has no memory any more.
        if kib:
            peaks.append(kib["VmHWM"] / 1024)
            current += kib["VmRSS"] / 1024
    return Memory(peaks[0], max(peaks[1:], default=0), current) if peaks else Memory()


def watched_conversion(folder: Path, jobs: int) -> tuple[float, Memory]:
    """Run the command; return its seconds and its memory."""
    start = time.perf_counter()
    process = start_conversion(folder, jobs)
    most = Memory()
    while process.poll() is None:
        found = memory_of(process.pid)
        most = Memory(
            max(most.parent, found.parent), max(most.worker, found.worker), max(most.together, found.together)
        )
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode != 0:
        raise RuntimeError(f"the conversion of {folder} failed; its error is above")
    return time.perf_counter() - start, most


def decode(folder: Path, *, masks: bool) -> None:
    """Decode every photograph as the converter does, and every mask, and do nothing with them."""
    for path in (folder / "images").iterdir():
        with Image.open(path) as image:
            image.draft("RGB", (DRAFT_MARGIN * SIDE, DRAFT_MARGIN * SIDE))
            image.load()
    for path in (folder / "masks").iterdir() if masks else ():
        with Image.open(path) as image:
            image.load()


def read_photographs(folder: Path, *, target: tuple[int, int] | None) -> None:
    """Read some photographs at SIDE pixels, decoded for ``target`` or in full."""
    for path in sorted((folder / "images").iterdir())[:N_IN_FULL]:
        resized_image(load_photograph(path, target=target)[0], (SIDE, SIDE))


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def print_memory(folders: dict[Path, tuple[int, float]], jobs: int) -> None:
    """Convert each folder once and print the first table."""
    print(
        "cases,megapixels,jobs,seconds,processor_seconds,images_per_s,megapixels_per_s,parent_mib,worker_mib,together_mib"
    )
    for folder, (n_cases, megapixels) in folders.items():
        start_on_processor = processor_seconds()
        seconds, memory = watched_conversion(folder, jobs)
        on_processor = processor_seconds() - start_on_processor
        rates = f"{seconds:.1f},{on_processor:.1f},{n_cases / seconds:.2f},{megapixels / seconds:.1f}"
        mib = f"{memory.parent:.0f},{memory.worker:.0f},{memory.together:.0f}"
        print(f"{n_cases},{megapixels:.0f},{jobs},{rates},{mib}", flush=True)


def print_medians(tasks: dict[str, Task], repeats: int) -> None:
    """Print the median seconds of tasks that take turns, and by how much each is faster than the first."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start, start_on_processor = time.perf_counter(), processor_seconds()
            task()
            turns[name].append((time.perf_counter() - start, processor_seconds() - start_on_processor))
    first: list[float] = []
    for name, measured in turns.items():
        seconds = [statistics.median(values) for values in zip(*measured, strict=True)]
        first = first or seconds
        ratios = ",".join(f"{of_first / own:.2f}" for of_first, own in zip(first, seconds, strict=True))
        print(f'"{name}",{seconds[0]:.2f},{seconds[1]:.2f},{ratios}', flush=True)


def print_speed(folder: Path, repeats: int) -> None:
    """Print the second table: its ratios are to the first row, and to the first of the last two."""
    print("task,seconds,processor_seconds,ratio,processor_ratio")
    conversions: dict[str, Task] = {
        "conversion with --jobs 1": partial(convert, folder, 1),
        "conversion with --jobs 2": partial(convert, folder, 2),
        "one pass of decoding": partial(decode, folder, masks=True),
        "one pass of decoding, without masks": partial(decode, folder, masks=False),
    }
    print_medians(conversions, repeats)
    decodings: dict[str, Task] = {
        f"{N_IN_FULL} photographs in full, resized": partial(read_photographs, folder, target=None),
        f"{N_IN_FULL} photographs decoded for {SIDE}, resized": partial(read_photographs, folder, target=(SIDE, SIDE)),
    }
    print_medians(decodings, repeats)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=256, help="photographs to convert")
    parser.add_argument("--repeats", type=int, default=3, help="turns whose median counts")
    parser.add_argument("--folder", type=Path, help="where to put them for a while; about 3 MB each")
    arguments = parser.parse_args()
    real_data = os.environ.get("NNUNET_MAMBA_REAL_DATA")
    print(machine())
    print("sources,pillow,libjpeg_turbo,zlib", "real" if real_data else "drawn", sep="\n", end=",")
    print(Image.__version__, features.version("libjpeg_turbo"), features.version("zlib"), sep=",", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        scratch = Path(name)
        sources = real_sources(Path(real_data)) if real_data else draw_sources(scratch)
        folders = {}
        for n_cases in (max(arguments.copies // 8, 1), arguments.copies):
            folder = scratch / str(n_cases)
            folders[folder] = (n_cases, write_cases(sources, folder, n_cases))
        print_memory(folders, jobs=2)
        if arguments.repeats:
            print_speed(folder, arguments.repeats)


if __name__ == "__main__":
    main()
