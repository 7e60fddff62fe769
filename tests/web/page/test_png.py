import io

import numpy as np
from PIL import Image

SCRIPT = """
import { greyPng } from "./png.js";
const file = await greyPng(new Uint8Array(read("pixels")), given);
write("file", new Uint8Array(await file.arrayBuffer()));
"""


def test_masks_are_whole_png_files_of_grey_levels(node):
    pixels = np.random.default_rng(0).integers(0, 2, (37, 53), dtype=np.uint8) * 255
    node.run(SCRIPT, given={"width": 53, "height": 37}, pixels=pixels)
    content = node.array("file", -1).tobytes()
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pixels)
