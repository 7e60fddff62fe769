"""How training images are varied, as data: nnU-Net's way, the skin papers', none, and one made for skin photographs.

nnU-Net standardises each channel of an image before it augments, so every strength of intensities is in standard
deviations of the channel. In these units a skin photograph is nearly all mean: over 1800 dermoscopic images of ISIC
2017 the mean of a channel is 5 (blue) to 11 (red) of its standard deviations, skin lies at 0.4 (0.1 to 1.1), and
lesions lie at -1.4 (-5 to 0).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Where an image lies in the training patch. Angles and mirror axes are nnU-Net's.

    Args:
        p_rotation: probability that an image is rotated.
        p_zoom: probability that it is zoomed.
        zoom: smallest and largest factor of sizes in the patch; as often larger as smaller, to the same degree.
        aspect: largest ratio between the factors of two axes.
        shift: largest distance between the centres of image and patch, as a share of the patch.
        reflects: whether the image goes on mirrored beyond its edges; nnU-Net has a plain ground of zeros there.
        centres_labels: whether a third of the patches lie around a labelled pixel, as nnU-Net has it. Patches as large
            as their images are moved beyond them so, over zeros; larger images and slices of volumes need it.
    """

    p_rotation: float
    p_zoom: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    shift: float = 0.0
    reflects: bool = False
    centres_labels: bool = True


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Other colours, for images of three channels.

    Args:
        probability: of an image.
        saturation: smallest and largest factor of the differences between channels.
        hue: largest turn of the colours about the grey axis, in radians.
        gain: largest factor of a channel's contrast; as often its inverse.
        offset: largest offset of a channel, in standard deviations.
    """

    probability: float
    saturation: tuple[float, float]
    hue: float
    gain: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class Light:
    """One light or dark place that fades over the frame, as a lamp at its side or a lens with dark corners leave it.

    Args:
        probability: of an image.
        strength: largest change, in standard deviations.
        width: smallest and largest standard deviation of the place, as a share of the frame.
        place: smallest and largest position of its centre, as a share of the frame; outside of (0, 1) it is beyond it.
    """

    probability: float
    strength: float
    width: tuple[float, float]
    place: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Optics:
    """Blur or sharpening, and noise of a sensor.

    Args:
        p_focus: probability that an image is either blurred or sharpened.
        blur: smallest and largest standard deviation of the blur, in pixels.
        sharpening: smallest and largest share of the Laplacian that is added.
        p_noise: probability that an image gets noise.
        noise: largest standard deviation of the noise, in standard deviations of the channel.
    """

    p_focus: float
    blur: tuple[float, float]
    sharpening: tuple[float, float]
    p_noise: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class Holes:
    """Rectangles of one colour that hide a little of the image and nothing of its label.

    Args:
        probability: of an image.
        most: largest number of rectangles.
        side: smallest and largest side, as a share of the frame.
    """

    probability: float
    most: int
    side: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Stickers:
    """One large thing of another colour that reaches into the frame from its edge, behind what is labelled.

    Args:
        probability: of an image.
        reach: smallest and largest distance that it reaches into the frame, as a share of the frame.
        radius: smallest and largest radius of its outline, as a share of the frame.
        colour: largest difference of a channel from the image's mean, in standard deviations.
    """

    probability: float
    reach: tuple[float, float]
    radius: tuple[float, float]
    colour: float


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which of nnU-Net's training transforms run, and what runs besides. All handling of labels is nnU-Net's.

    Whether images are mirrored belongs to the recipe, since prediction follows it.

    Args:
        name: for tables and logs.
        intensities: whether nnU-Net's changes of the intensities run: noise, blur, brightness, contrast, resolution
            and gamma.
        framing: None for nnU-Net's rotations and zooms.
        colour: None for none; so the following.
        light: of the whole frame.
        optics: of the camera.
        holes: in the image.
        stickers: at the edge of the frame.
    """

    name: str
    intensities: bool
    framing: Framing | None = None
    colour: Colour | None = None
    light: Light | None = None
    optics: Optics | None = None
    holes: Holes | None = None
    stickers: Stickers | None = None


NNUNET = Augmentation(name="nnU-Net's", intensities=True)
FLIPS_AND_ROTATIONS = Augmentation(name="flips, rotations", intensities=False, framing=Framing(p_rotation=0.5))
NONE = Augmentation(name="none", intensities=False, framing=Framing(p_rotation=0.0))

PHOTOGRAPHS = Augmentation(
    name="photographs",
    intensities=True,
    framing=Framing(
        p_rotation=0.5,
        p_zoom=0.4,
        # Lesions cover 1 to 90 % of their photographs, and half of them 8 to 44 %: twice or half the area and more.
        zoom=(0.7, 1.6),
        # A whole photograph of 4 to 3 that is resized to a square.
        aspect=4 / 3,
        # Nobody holds the dermatoscope exactly over the lesion.
        shift=0.1,
        # More skin, not a grey bar from which a small network learns where photographs end.
        reflects=True,
    ),
    colour=Colour(
        probability=0.3,
        # Nearly grey under polarised light, vivid under a flash.
        saturation=(0.2, 1.3),
        # 7 degrees: brown stays brown, but for frames where a coloured sticker is most of what a channel shows.
        hue=0.12,
        # Standardising takes white balance and exposure away. Gain and offset stand for what it adds: mean and standard
        # deviation depend on what else is in the frame, by 0.1 and a fifth more in one channel than in the others.
        gain=1.2,
        offset=0.1,
    ),
    # A lamp that is a tenth brighter on one side multiplies values whose mean is 5 to 11 standard deviations. All
    # channels get the same, and the mean moves with it, as skin does by 0.4 between photographs.
    light=Light(probability=0.3, strength=1.2, width=(0.3, 1.0), place=(-0.3, 1.3)),
    optics=Optics(
        p_focus=0.15,
        # Twice nnU-Net's: photographs out of focus, or enlarged before they were published.
        blur=(0.5, 2.0),
        # What cameras do by themselves.
        sharpening=(0.1, 0.5),
        p_noise=0.15,
        # 3 of 255 in a pale photograph whose standard deviation is 15.
        noise=0.2,
    ),
    # Gel bubbles, ruler marks and stickers are small, and dermatologists draw the outline through them.
    holes=Holes(probability=0.2, most=4, side=(0.02, 0.1)),
)

# For ablations, and of no recipe yet. Dressings and coloured stickers, of which ISIC's photographs of naevi have many,
# are taken for lesions: they differ more from skin than a lesion does, by 100 of 255 where a pale photograph's standard
# deviation is 12. Up to half of the frame, and as round as a sticker or as straight as a dressing.
STICKERS = Stickers(probability=0.15, reach=(0.05, 0.5), radius=(0.15, 2.0), colour=8.0)
