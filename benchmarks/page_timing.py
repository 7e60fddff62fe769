"""The page of ``nnunet-mamba web`` in headless Chromium: how long until it can be used, and for an image.

    python benchmarks/page_timing.py [--model isic] [--runs 5] [IMAGE ...]

The page is opened from the disk as one file. "usable" is the time from the start of opening to the model that has run
once; an image's time begins with its choice and ends with its outline on the screen, decoding and resizing included.
"longest pause" is how long the tab did not answer meanwhile, at most. Without images two are drawn: one of 256×256
pixels (PNG) and one of 12 megapixels (JPEG). Medians; the page is opened anew for each image.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from chromium_runs.headless import chromium
from PIL import Image
from timing import machine

from nnunet_mamba.demo.lesions import draw_photograph
from nnunet_mamba.web.shipped_page import page_of_model

# Before anything of the page runs. A pause is a gap between two turns of a clock that ticks every 4 ms.
_WATCH = """
window.watched = { usable: null, longestPause: 0, chosen: null, outlined: null };
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  watched.longestPause = Math.max(watched.longestPause, now - last);
  last = now;
}, 4);
document.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  Object.assign(watched, { chosen: performance.now(), outlined: null, longestPause: 0 });
}, true);
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => {
    watched.usable ??= document.documentElement.dataset.ready ? performance.now() : null;
    const text = document.getElementById("status").textContent;
    const isDone = /lesion is outlined|No lesion was found/.test(text);
    // After the next frame it is on the screen.
    if (isDone && watched.outlined === null && watched.chosen !== null) {
      requestAnimationFrame(() => setTimeout(() => { watched.outlined ??= performance.now(); }));
    }
  }).observe(document.documentElement, { attributes: true, childList: true, subtree: true, characterData: true });
});
"""
_WAIT = """
const [wanted, done] = arguments;
const clock = setInterval(() => {
  if (watched[wanted] === null) return;
  clearInterval(clock);
  done(watched);
}, 5);
"""


def main() -> None:
    """Print a line for opening and one for each image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    parser.add_argument("--model", default="isic", help="as for nnunet-mamba web")
    parser.add_argument("--runs", type=int, default=5, help="openings of the page for each image")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error(f"--runs {arguments.runs}: expected at least 1")
    with tempfile.TemporaryDirectory() as folder, chromium() as driver:
        if driver is None:
            print("nothing is measured: chromium, chromedriver or selenium is missing")
            return
        page = Path(folder) / "page.html"
        page.write_text(page_of_model(arguments.model), encoding="utf-8")
        images = [image.resolve() for image in arguments.images] or drawn(Path(folder))
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        times: dict[str, list[tuple[float, float]]] = {"usable": [], **{str(image): [] for image in images}}
        for _ in range(arguments.runs):
            for image in images:
                usable, outlined = opened(driver, page.as_uri(), image)
                times["usable"].append(usable)
                times[str(image)].append(outlined)
        print(machine())
        print(f"chromium {driver.capabilities['browserVersion']}; {page.stat().st_size / 1e6:.2f} MB")
        print("what,ms,longest pause ms")
        for name, found in times.items():
            milliseconds, pauses = zip(*found, strict=True)
            print(f"{Path(name).name},{statistics.median(milliseconds):.0f},{max(pauses):.0f}")


def drawn(folder: Path) -> list[Path]:
    """Draw the two photographs and return their files."""
    files = []
    for number, (shape, kind) in enumerate((((256, 256), "png"), ((3000, 4000), "jpg"))):
        image = Image.fromarray(draw_photograph(seed=7, number=number, shape=shape).image)
        files.append(folder / f"{shape[1]}x{shape[0]}.{kind}")
        image.save(files[-1], quality=92)
    return files


def opened(driver: Any, address: str, image: Path) -> list[tuple[float, float]]:
    """Open the page and give it an image; return ms and the longest pause, of both."""
    driver.get("about:blank")
    driver.get(address)
    found = driver.execute_async_script(_WAIT, "usable")
    usable = found["usable"], found["longestPause"]
    driver.find_element("id", "choose").send_keys(str(image))
    found = driver.execute_async_script(_WAIT, "outlined")
    return [usable, (found["outlined"] - found["chosen"], found["longestPause"])]


if __name__ == "__main__":
    main()
