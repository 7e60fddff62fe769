"""Run an ONNX file in headless Chromium, by the onnxruntime-web that the page has, on one thread."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from chromium_runs.headless import chromium
from nnunet_mamba.web.runtime_files import LOADER, MODULE, PARTS, WASM, read_runtime

_PAGE = "<!doctype html><meta charset=utf-8><title>timing</title>"
# The memory of WebAssembly only grows, so its size at the end is the most that was needed.
_TIME = f"""
const [file, size, runs, done] = arguments;
// Errors in code that nothing waits for would keep the caller waiting.
addEventListener("error", (event) => done({{ error: event.message }}));
const memories = [];
const Memory = WebAssembly.Memory;
WebAssembly.Memory = function (kind) {{
  memories.push(new Memory(kind));
  return memories.at(-1);
}};
WebAssembly.Memory.prototype = Memory.prototype;
(async () => {{
  const ort = await import("/{MODULE}");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = {{ mjs: `${{location.origin}}/{LOADER}`, wasm: `${{location.origin}}/{WASM}` }};
  ort.env.logLevel = "error";
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${{file}}: ${{answer.status}}`);
  const content = new Uint8Array(await answer.arrayBuffer());
  const session = await ort.InferenceSession.create(content, {{ executionProviders: ["wasm"] }});
  const values = Float32Array.from({{ length: 3 * size * size }}, (_, place) => place % 251);
  const times = [];
  for (let run = 0; run <= runs; run++) {{
    const image = new ort.Tensor("float32", values.slice(), [1, 3, size, size]);
    const start = performance.now();
    await session.run({{ image }}, ["logits"]);
    times.push(performance.now() - start);
  }}
  const bytes = Math.max(...memories.map((memory) => memory.buffer.byteLength));
  done({{ times: times.slice(1), megabytes: bytes / 1e6 }});
}})().catch((error) => done({{ error: String(error) }}));
"""


@dataclass(frozen=True, kw_only=True)
class InBrowser:
    """What one file took.

    Args:
        run_ms: median of the runs after the first.
        megabytes: of WebAssembly's memory.
    """

    run_ms: float
    megabytes: float


@contextmanager
def browser(folder: Path) -> Iterator[Any]:
    """Start Chromium and a server of ``folder`` on this machine.

    Args:
        folder: of the files; gets the runtime.

    Yields:
        Selenium's driver with an empty page, or None where Chromium, its driver or Selenium is missing.
    """
    with chromium() as driver:
        if driver is None:
            yield None
            return
        with _served(folder) as address:
            driver.get(address)
            yield driver


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    for part in PARTS:
        (folder / part).write_bytes(gzip.decompress(read_runtime().packed[part]))
    (folder / "index.html").write_text(_PAGE, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


def timed(driver: Any, name: str, *, size: int, runs: int) -> InBrowser | str:
    """Return what a file of the served folder takes; in words why it does not run.

    Args:
        driver: of ``browser``.
        name: of the file.
        size: pixels along both axes.
        runs: to take the median of; one more goes first.
    """
    from selenium.common.exceptions import WebDriverException

    try:
        # A new page gives the memory of the last file back.
        driver.refresh()
        found = driver.execute_async_script(_TIME, f"/{name}", size, runs)
    except WebDriverException as error:
        # A tab that ended, such as for want of memory, or never answered.
        return str(error.msg).splitlines()[0]
    if "error" in found:
        return str(found["error"])
    times = sorted(found["times"])
    return InBrowser(
        run_ms=times[len(times) // 2],
        megabytes=found["megabytes"],
    )


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
