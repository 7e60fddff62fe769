"""Draw photographs that look like dermoscopy, each with its exact lesion mask, in the folder layout of ISIC.

Skin and lesion follow Beer and Lambert: photograph = light * skin * exp(-pigment), so that a lesion takes over the
light, the texture and the colour of the skin it lies in. Hairs, freckles, rulers, discs and bubbles are never lesion.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.progress import ShownProgress

Field = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Reflectance of red, green and blue, from very fair to brown skin.
_SKIN_TONES = np.array(
    [(0.95, 0.84, 0.80), (0.92, 0.76, 0.69), (0.88, 0.74, 0.60), (0.80, 0.62, 0.49), (0.69, 0.51, 0.40)]
)
# How strongly a pigment absorbs red, green and blue.
_MELANIN = np.array((0.62, 1.0, 1.32))
_BLOOD = np.array((0.10, 0.95, 0.72))
_DEEP_MELANIN = np.array((1.25, 1.05, 0.80))


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A drawn photograph.

    Args:
        image: (h, w, 3), uint8, RGB.
        mask: (h, w), True where the lesion is.
    """

    image: npt.NDArray[np.uint8]
    mask: Mask


def draw_photograph(*, seed: int, number: int, shape: tuple[int, int] = (288, 384)) -> Photograph:
    """Draw photograph ``number`` of the series ``seed``; the same arguments give the same pixels.

    Args:
        seed: names the series, >= 0.
        number: names the photograph within it, >= 0.
        shape: (height, width) in pixels, each >= 32.

    Raises:
        ValueError: the shape is too small to hold a lesion.
    """
    if min(shape) < 32:
        raise ValueError(f"shape is {shape}, expected at least 32 x 32 pixels; ask for a larger photograph")
    rng = np.random.default_rng([seed, number])
    outline = _outline(rng, shape)
    mask = outline < 0
    pigment = _lesion_pigment(rng, outline) + _freckle_pigment(rng, outline)
    scene = _skin(rng, shape) * np.exp(-pigment)
    scene = _add_ruler_or_disc(rng, scene, outline)
    scene = _add_hairs(rng, scene)
    scene = _add_bubbles(rng, scene)
    return Photograph(image=_expose(rng, scene, mask), mask=mask)


def write_isic_folder(
    folder: Path, *, n_cases: int, seed: int, first: int = 1, progress: bool = True
) -> tuple[Path, Path]:
    """Write ``n_cases`` photographs and their masks as the ISIC archive names them.

    Args:
        folder: receives ``images/ISIC_0000001.jpg`` … and ``masks/ISIC_0000001_segmentation.png`` … (0 and 255).
        n_cases: how many, >= 1.
        seed: names the series.
        first: number of the first case; two folders with numbers that do not overlap share no photograph.
        progress: show it on standard error.

    Returns:
        The folder of the photographs and the folder of the masks.

    Raises:
        ValueError: ``n_cases`` is below one.
    """
    if n_cases < 1:
        raise ValueError(f"n_cases is {n_cases}, expected at least 1")
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    with ShownProgress(n_cases, "drawing", is_shown=progress) as shown:
        for number in shown.over(range(first, first + n_cases)):
            photograph = draw_photograph(seed=seed, number=number)
            with replacing(images / f"ISIC_{number:07d}.jpg") as temporary:
                Image.fromarray(photograph.image).save(temporary, quality=92)
            label = np.where(photograph.mask, 255, 0).astype(np.uint8)
            with replacing(masks / f"ISIC_{number:07d}_segmentation.png") as temporary:
                Image.fromarray(label).save(temporary)
    return images, masks


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, *, octaves: int = 1) -> Field:
    """Return smooth noise of about unit variance whose bumps are ``cell`` pixels wide, finer with each octave."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        width = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal([math.ceil(side / width) + 3 for side in shape]).astype(np.float32)
        box = (1, 1, 1 + shape[1] / width, 1 + shape[0] / width)
        smooth = Image.fromarray(grid).resize(shape[::-1], Image.Resampling.BICUBIC, box=box)
        total += np.asarray(smooth, np.float32) * 1.6 / 2**octave
    spread = math.sqrt(sum(0.25**octave for octave in range(octaves)))
    return np.asarray(total / spread, np.float32)


def _grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Return y and x of every pixel, in units of the shorter side, zero in the middle."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = np.float32(min(shape))
    return (y - height / 2) / side, (x - width / 2) / side


def _outline(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return roughly the signed distance to the lesion's border, negative inside, in units of the shorter side."""
    y, x = _grid(shape)
    radius = float(np.clip(rng.lognormal(math.log(0.27), 0.30), 0.13, 0.44))
    reach = max(0.0, 0.44 - radius) if rng.random() < 0.85 else 0.36
    y = y - np.float32(rng.uniform(-reach, reach))
    x = x - np.float32(rng.uniform(-reach, reach) * shape[1] / shape[0])
    ragged = rng.uniform(0.002, 0.013)
    y = y + np.float32(ragged) * _noise(rng, shape, 0.09 * min(shape), octaves=4)
    x = x + np.float32(ragged) * _noise(rng, shape, 0.09 * min(shape), octaves=4)

    turn, stretch = rng.uniform(0, math.pi), math.sqrt(rng.uniform(1.0, 1.9))
    along = (math.cos(turn) * x + math.sin(turn) * y) / stretch
    across = (math.cos(turn) * y - math.sin(turn) * x) * stretch
    angle, distance = np.arctan2(across, along), np.hypot(across, along)
    border = np.ones(shape, np.float32)
    irregularity = rng.uniform(0.04, 0.17)
    for wave in range(2, 8):
        weight = irregularity * rng.normal() / wave**0.8
        border += np.float32(weight) * np.cos(wave * angle + np.float32(rng.uniform(0, 2 * math.pi)))
    return np.asarray(distance - radius * np.clip(border, 0.35, 1.9), np.float32)


def _skin(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return the reflectance of bare skin, (h, w, 3): tone, blotches, pores and fine furrows."""
    position = np.clip(rng.beta(1.3, 2.0) * (len(_SKIN_TONES) - 1), 0, len(_SKIN_TONES) - 1.001)
    low = int(position)
    tone = _SKIN_TONES[low] + (position - low) * (_SKIN_TONES[low + 1] - _SKIN_TONES[low])
    side = min(shape)
    blotches = rng.uniform(0.01, 0.08) * _noise(rng, shape, 0.16 * side, octaves=4)
    flush = rng.uniform(0.0, 0.07) * np.clip(_noise(rng, shape, 0.35 * side, octaves=3), 0, None)
    pores = rng.uniform(0.005, 0.025) * _noise(rng, shape, 3.0, octaves=2)
    furrows = rng.uniform(0.0, 0.05) * np.clip(np.abs(_noise(rng, shape, 9.0, octaves=2)) - 0.9, None, 0)
    absorbed = (blotches + pores + furrows)[..., None] * _MELANIN + flush[..., None] * _BLOOD
    return np.asarray(tone * np.exp(-absorbed), np.float32)


def _lesion_pigment(rng: np.random.Generator, outline: Field) -> Field:
    """Return how much the lesion absorbs, (h, w, 3): variegated inside, fading across a soft border."""
    shape, side = outline.shape, min(outline.shape)
    softness = rng.uniform(0.006, 0.030)
    cover = 1 / (1 + np.exp(np.clip(outline / np.float32(softness), -30, 30)))
    pale = rng.random() < 0.30
    strength = rng.uniform(0.30, 0.55) if pale else rng.uniform(0.55, 1.6)
    density = 1 + rng.uniform(0.10, 0.35) * _noise(rng, shape, 0.18 * side, octaves=3)
    network = np.abs(_noise(rng, shape, rng.uniform(6, 14), octaves=2))
    density = density + rng.uniform(0.0, 0.28) * (0.7 - np.minimum(network, 1.6))
    if rng.random() < 0.5:
        density = density * (1 + rng.uniform(-0.3, 0.5) * np.clip(-outline / 0.15, 0, 1))
    pigment = (strength * np.clip(density, 0.35, 2.4))[..., None] * _MELANIN
    rose = (0.45 if pale else 0.22) * rng.random() * (1 + 0.3 * _noise(rng, shape, 0.15 * side, octaves=2))
    pigment = pigment + np.clip(rose, 0, None)[..., None] * _BLOOD
    if not pale and rng.random() < 0.35:
        veil = np.clip(_noise(rng, shape, 0.25 * side, octaves=2) - 0.1, 0, 1.2)
        pigment = pigment + rng.uniform(0.3, 0.8) * veil[..., None] * (_DEEP_MELANIN - 0.35 * _MELANIN)
    return np.asarray(pigment * cover[..., None], np.float32)


def _freckle_pigment(rng: np.random.Generator, outline: Field) -> Field:
    """Return how much freckles and satellite spots outside the lesion absorb, (h, w, 3)."""
    y, x = _grid((outline.shape[0], outline.shape[1]))
    spots = np.zeros_like(outline)
    n_spots = rng.poisson(14) if rng.random() < 0.4 else rng.poisson(2)
    for _ in range(n_spots):
        at_y, at_x = rng.uniform(y.min(), y.max()), rng.uniform(x.min(), x.max())
        radius = rng.uniform(0.006, 0.030)
        oval = np.hypot(y - at_y, (x - at_x) * rng.uniform(0.7, 1.4)) / radius
        spots = np.maximum(spots, rng.uniform(0.15, 0.9) / (1 + np.exp(np.clip((oval - 1) * 5, -30, 30))))
    clear = np.clip((outline - 0.01) / 0.01, 0, 1)
    return np.asarray((spots * clear)[..., None] * _MELANIN, np.float32)


def _add_ruler_or_disc(rng: np.random.Generator, scene: Field, outline: Field) -> Field:
    """Lay a millimetre scale or a coloured calibration disc at the edge, where it does not cover the lesion."""
    shape = (scene.shape[0], scene.shape[1])
    kind = rng.random()
    height, width = shape
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    if kind < 0.15:
        step, start, thick = rng.uniform(0.05, 0.09) * width, rng.uniform(0, 20), int(rng.integers(1, 3))
        for tick in range(int(width / step) + 1):
            length = height * (0.06 if tick % 5 == 0 else 0.035)
            pen.line([(start + tick * step, height), (start + tick * step, height - length)], fill=255, width=thick)
        colour = np.array((0.10, 0.09, 0.09))
    elif kind < 0.27:
        radius = rng.uniform(0.25, 0.45) * height
        at_x = rng.choice([-0.45, width / radius + 0.45]) * radius
        at_y = rng.uniform(0.1, 0.9) * height
        pen.ellipse([at_x - radius, at_y - radius, at_x + radius, at_y + radius], fill=255)
        colour = np.array([(0.25, 0.72, 0.68), (0.85, 0.35, 0.20), (0.62, 0.62, 0.64)][int(rng.integers(3))])
    else:
        return scene
    cover = np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
    if cover[outline < 0.01].any():
        return scene
    return (scene + cover[..., None] * (colour - scene)).astype(np.float32)


def _add_hairs(rng: np.random.Generator, scene: Field) -> Field:
    """Lay dark (seldom light) curved hairs across the whole photograph."""
    height, width = scene.shape[:2]
    few, many = int(rng.integers(1, 5)), int(rng.integers(6, 22))
    n_hairs = int(rng.choice([0, few, many], p=[0.4, 0.35, 0.25]))
    colour = np.array((0.80, 0.72, 0.60)) if rng.random() < 0.12 else np.array((0.16, 0.11, 0.08))
    zoom = 4  # drawn larger and shrunk, for smooth strokes thinner than a pixel
    canvas = Image.new("L", (width * zoom, height * zoom))
    pen = ImageDraw.Draw(canvas)
    lie = rng.uniform(0, math.pi)
    t = np.linspace(0, 1, 40)[:, None]
    for _ in range(n_hairs):
        middle = rng.uniform((0, 0), (width, height))
        turn = lie + rng.normal(0, 0.5)
        half = rng.uniform(0.15, 0.7) * width / 2 * np.array((math.cos(turn), math.sin(turn)))
        bend = rng.normal(0, 0.18) * np.array((-half[1], half[0])) * 2
        start, control, end = middle - half, middle + bend, middle + half
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
        pen.line([(px * zoom, py * zoom) for px, py in curve], fill=255, width=int(rng.integers(3, 9)), joint="curve")
    cover = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return (scene + 0.85 * cover[..., None] * (colour - scene)).astype(np.float32)


def _add_bubbles(rng: np.random.Generator, scene: Field) -> Field:
    """Add the bright rims of gas bubbles in the immersion fluid."""
    if rng.random() > 0.25:
        return scene
    y, x = _grid((scene.shape[0], scene.shape[1]))
    glow = np.zeros(scene.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 7))):
        away = np.hypot(y - rng.uniform(-0.5, 0.5), x - rng.uniform(-0.65, 0.65))
        radius = rng.uniform(0.008, 0.03)
        glow += np.exp(-(((away - radius) / 0.004) ** 2)) * rng.uniform(0.15, 0.5)
    return (scene + np.clip(glow, 0, 0.6)[..., None] * (1 - scene)).astype(np.float32)


def _expose(rng: np.random.Generator, scene: Field, mask: Mask) -> npt.NDArray[np.uint8]:
    """Light the scene unevenly, darken the rim, tint it, and add blur and noise; returns (h, w, 3), uint8."""
    shape = (scene.shape[0], scene.shape[1])
    y, x = _grid(shape)
    turn = rng.uniform(0, 2 * math.pi)
    light = 1 + rng.uniform(0, 0.45) * (math.cos(turn) * x + math.sin(turn) * y)
    light = light + rng.uniform(0.0, 0.05) * _noise(rng, shape, 0.6 * min(shape))
    away = np.hypot(y, x)
    light = light * (1 - rng.uniform(0.0, 0.75) * away**2)
    # The field of a dermatoscope's lens may end inside the photograph, in black corners; the lesion stays in view.
    lens = rng.uniform(0.50, 0.66)
    if rng.random() < 0.40 and away[mask].max(initial=0) < lens - 0.03:
        edge = (away - lens) / rng.uniform(0.006, 0.03)
        light = light / (1 + np.exp(np.clip(edge, -30, 30)))
    tint = 1 + rng.normal(0, 0.03, 3)
    photo = scene * (light * rng.uniform(0.80, 1.08))[..., None] * tint
    photo = np.clip(photo, 0, 1) * 255
    blurred = Image.fromarray(photo.astype(np.uint8)).filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    noisy = np.asarray(blurred, np.float32) + rng.normal(0, rng.uniform(0.5, 2.5), scene.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
