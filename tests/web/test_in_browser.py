"""The page in Chromium: what it says of images, compared with predict, and what it may not do."""

import base64
import csv
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import start_browser
from PIL import Image, ImageCms
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.demo.lesions import draw_photograph
from nnunet_mamba.web.shipped_page import page_of_model

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112
LEAST_DICE = {".png": 0.999, ".bmp": 0.999, ".jpg": 0.995}
# What 80 images more may cost, beyond what is kept of each: a thumbnail and the probabilities, 0.3 MB.
MOST_GROWTH_MB = 120


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "lesion.html"
    file.write_text(page_of_model(), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("saved"))
    yield started
    started.driver.quit()


@pytest.fixture
def opened(browser, page):
    """The page, just opened from the disk."""
    browser.requests()
    browser.complaints()
    browser.open(page.as_uri())
    return browser


@pytest.fixture
def host(page):
    """A static host of the page, which knows what it was asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(page.parent))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def drawn(number, shape=(288, 384)):
    return Image.fromarray(draw_photograph(seed=7, number=number, shape=shape).image)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Photographs of many kinds."""
    folder = tmp_path_factory.mktemp("images")
    turned = Image.Exif()
    drawn(0).save(folder / "plain.png")
    drawn(1, (256, 256)).save(folder / "as_the_network_sees_it.png")
    drawn(2, (1500, 2000)).save(folder / "large.jpg", quality=92)
    drawn(3, (900, 300)).save(folder / "high.png")
    for orientation in range(2, 9):
        turned[ORIENTATION] = orientation
        kind = "png" if orientation % 2 else "jpg"
        drawn(orientation).save(folder / f"turned_{orientation}.{kind}", exif=turned, quality=95)
    framed = Image.new("RGB", (440, 320))
    framed.paste(drawn(9), (40, 9))
    framed.save(folder / "framed.png")
    drawn(10).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    drawn(11).save(folder / "profile.png", icc_profile=profile_with_red_for_blue())
    return sorted(folder.iterdir())


def profile_with_red_for_blue():
    """Return a colour profile by which a browser that manages colours would show red as blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")


def predicted(files, output):
    done = CliRunner().invoke(app, ["predict", *map(str, files), "-o", str(output), "--model", "isic", "--no-progress"])
    assert done.exit_code == 0, done.output
    return {file: output / f"{file.stem}.png" for file in files}


def dice(first, second):
    total = first.sum() + second.sum()
    return 1.0 if total == 0 else 2 * (first & second).sum() / total


def assert_agree(browser, files, masks):
    for file in files:
        browser.show(file.name)
        saved = np.asarray(Image.open(browser.save("save-mask", f"{file.stem}_mask.png")))
        expected = np.asarray(Image.open(masks[file]))
        assert saved.shape == expected.shape, file.name
        assert set(np.unique(saved)) <= {0, 255}, file.name
        assert dice(saved > 0, expected > 0) >= LEAST_DICE[file.suffix.lower()], file.name


def test_masks_are_those_of_predict(opened, images, tmp_path):
    opened.choose(*images)
    assert opened.text("problems") == ""
    assert sorted(opened.names()) == [file.name for file in images]
    assert_agree(opened, images, predicted(images, tmp_path / "masks"))


@pytest.mark.real_data
def test_masks_of_real_photographs_are_those_of_predict(opened, tmp_path):
    folder = os.environ.get("NNUNET_MAMBA_REAL_DATA")
    if not folder:
        pytest.skip("NNUNET_MAMBA_REAL_DATA is not set")
    files = sorted(Path(folder, "isic2017_256", "ISIC-2017_Validation_Data").iterdir())[:42]
    files += sorted(Path(folder, "PH2Dataset").rglob("*_Dermoscopic_Image/*.bmp"))[:8]
    files = [file for file in files if file.suffix.lower() in (".png", ".jpg", ".bmp")]
    assert len(files) == 50
    opened.choose(*files)
    assert_agree(opened, files, predicted(files, tmp_path / "masks"))


def test_a_text_and_a_picture_of_one_pixel_are_refused_in_a_sentence(opened, tmp_path, images):
    (tmp_path / "notes.txt").write_text("a note about a patient")
    (tmp_path / "renamed.jpg").write_text("a note about a patient")
    Image.new("RGB", (1, 1), "red").save(tmp_path / "pixel.png")
    drawn(0).convert("RGBA").resize((40, 40)).rotate(45, fillcolor=(0, 0, 0, 0)).save(tmp_path / "clear.png")
    (tmp_path / "half.png").write_bytes(images[-1].read_bytes()[:900])
    told = {
        "notes.txt": "not an image",
        "renamed.jpg": "not an image",
        "pixel.png": "every pixel has the same colour",
        "clear.png": "transparent pixels",
        "half.png": "the browser cannot decode it",
    }
    opened.choose(*(tmp_path / name for name in told))
    sentences = opened.run("return [...document.querySelectorAll('#problems p')].map((p) => p.textContent)")
    assert len(sentences) == len(told)
    for sentence, (name, reason) in zip(sentences, told.items(), strict=True):
        assert sentence.startswith(f"{name}: ")
        assert reason in sentence
        assert sentence.endswith(".")
    assert opened.names() == []
    # What is refused takes nothing from what comes after it.
    opened.choose(images[0])
    assert opened.names() == [images[0].name]


def test_the_page_asks_for_nothing_and_may_not(opened, page, host, images):
    url, asked = host
    opened.choose(images[0])
    opened.save("save-overlay", f"{images[0].stem}_overlay.png")
    requested = opened.requests()
    assert page.as_uri() in requested
    assert [one for one in requested if not one.startswith(("blob:", "data:")) and one != page.as_uri()] == []
    assert opened.complaints() == []
    tries = opened.driver.execute_async_script(
        """
        const [url, done] = arguments;
        const told = [];
        const tell = (way) => (event) => told.push(`${way} ${event.type ?? event.name}`);
        const tries = [
          fetch(url).then(tell("fetch"), () => told.push("fetch refused")),
          new Promise((end) => {
            const image = new Image();
            image.onload = image.onerror = (event) => end(told.push(`image ${event.type}`));
            image.src = `${url}/image.png`;
          }),
          new Promise((end) => {
            const text = `fetch("${url}").then(() => postMessage("reached"), () => postMessage("refused"))`;
            const worker = new Worker(URL.createObjectURL(new Blob([text])));
            worker.onmessage = ({ data }) => end(told.push(`worker ${data}`));
          }),
        ];
        navigator.sendBeacon(url, "a picture");
        Promise.all(tries).then(() => setTimeout(() => done(told.sort()), 500));
        """,
        url,
    )
    assert tries == ["fetch refused", "image error", "worker refused"]
    assert asked == []


def test_the_page_works_without_a_network(browser, page, images):
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        browser.open(page.as_uri())
        browser.choose(images[0])
        assert images[0].name in browser.text("status")
    finally:
        online = {**offline, "offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)


def test_the_page_works_from_a_static_host_and_asks_it_for_nothing_more(browser, host, images):
    url, asked = host
    browser.open(f"{url}/lesion.html")
    browser.choose(images[0])
    assert images[0].name in browser.text("status")
    assert asked == ["/lesion.html"]


def test_threshold_scale_and_table(opened, images):
    opened.choose(*images[:2])
    opened.show(images[0].name)
    pixels = {percent: _area_at(opened, percent) for percent in (90, 50, 10)}
    assert pixels[90] < pixels[50] < pixels[10]
    _area_at(opened, 50)
    for name, value in (("scale-pixels", "20"), ("scale-mm", "5")):
        opened.driver.find_element("id", name).send_keys(value)
    assert float(opened.text("area-mm").split()[0]) == pytest.approx(pixels[50] / 16, rel=1e-3)
    with opened.save("save-table", "outlines.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert [first["image"], second["image"]] == [file.name for file in images[:2]]
    assert int(first["area_pixels"]) == pixels[50]
    assert float(first["area_mm2"]) == pytest.approx(pixels[50] / 16, rel=1e-4)
    assert second["area_mm2"] == ""


def _area_at(browser, percent):
    browser.run(
        """
        const slider = document.getElementById("threshold");
        slider.value = arguments[0];
        slider.dispatchEvent(new Event("input"));
        """,
        percent,
    )
    return int(browser.text("area").split()[0].replace(",", ""))


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_images_are_pasted_and_dropped(opened, images, way):
    opened.run(
        """
        const [way, name, content] = arguments;
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], name));
        const event = way === "paste" ? new ClipboardEvent("paste", { clipboardData: data }) : new DragEvent("drop");
        if (way === "drop") Object.defineProperty(event, "dataTransfer", { value: data });
        document.dispatchEvent(event);
        """,
        *(way, images[0].name, base64.b64encode(images[0].read_bytes()).decode()),
    )
    opened.wait(lambda: "…" not in opened.text("status"))
    assert opened.names() == [images[0].name]
    assert images[0].name in opened.text("status")


def test_the_list_is_used_with_the_keyboard(opened, images):
    opened.choose(*images[:2])
    buttons = opened.driver.find_elements("css selector", "#images button")
    buttons[1].send_keys(" ")
    opened.wait(lambda: images[1].name in opened.text("result-title"))
    assert [button.get_attribute("aria-current") for button in buttons] == ["false", "true"]
    assert images[1].name in opened.driver.find_element("id", "picture").get_attribute("aria-label")


def test_a_length_is_drawn_with_two_clicks(opened, images):
    opened.choose(images[0])
    opened.driver.find_element("id", "scale-draw").click()
    for x in (0.25, 0.75):
        opened.run(
            """
            const canvas = document.getElementById("picture");
            const box = canvas.getBoundingClientRect();
            const at = { clientX: box.left + arguments[0] * box.width, clientY: box.top + box.height / 2 };
            canvas.dispatchEvent(new MouseEvent("click", at));
            """,
            x,
        )
    width = Image.open(images[0]).width
    assert float(opened.run("return document.getElementById('scale-pixels').value")) == pytest.approx(width / 2, abs=1)


def test_a_hundred_images_need_hardly_more_memory_than_twenty(opened, tmp_path):
    files = []
    for number in range(100):
        files.append(tmp_path / f"image_{number}.png")
        drawn(0).rotate(number, fillcolor=(200, 160, 140)).save(files[-1])
    opened.choose(*files[:20])
    before = _memory_mb(opened)
    opened.choose(*files[20:])
    assert len(opened.names()) == 100
    assert _memory_mb(opened) - before < MOST_GROWTH_MB


def _memory_mb(browser):
    """Return what the processes of the browser have in memory, all together."""
    tree = [browser.driver.service.process.pid]
    for process in tree:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            tree += map(int, task.read_text().split())
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in tree)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
