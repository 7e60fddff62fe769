"""VMamba's classification network of the first generation: VM-UNet's encoder, whose average a linear layer reads.

Source: Liu et al. 2024, "VMamba: Visual State Space Model", arXiv:2401.10166, version 0 of the code.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags, require_probability, require_whole
from nnunet_mamba.networks.classifiers.classification_network import ClassificationNetwork
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.padding import pad_to_multiple
from nnunet_mamba.networks.vm_unet import (
    COLOURS,
    PATCH_SIZE,
    check_colours,
    check_stages,
    drop_path_rates,
    encoder_stages,
    initialise,
    patch_embedding,
)


class VMamba(ClassificationNetwork):
    """Classify images of any height and width; a grey image is taken as three equal colours.

    Its weights by their published names, ``upstream_weights.published_name``, are what VM-UNet begins with.

    Args:
        input_channels: channels of the images.
        num_classes: numbers that an image gets.
        dims: channels of the stages, each twice the one before.
        depths: VSS blocks of the stages.
        drop_path_rate: probability that training leaves out the last block; it falls linearly to 0 towards the first.
        d_state: size n of the scans' states.
        scan: False leaves the scans out and keeps the rest.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        dims: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 9, 2),
        drop_path_rate: float = 0.1,
        d_state: int = 16,
        scan: bool = True,
    ) -> None:
        require_flags("VMamba", scan=scan)
        require_probability("VMamba", "drop_path_rate", drop_path_rate)
        require_whole("VMamba", d_state=d_state)
        require_positive("VMamba", input_channels=input_channels, num_classes=num_classes)
        check_stages("VMamba", dims, depths=depths)
        super().__init__(input_channels)
        self.size_multiple = (PATCH_SIZE * 2 ** (len(dims) - 1),) * 2
        self.patch_embed = patch_embedding(input_channels, dims[0])
        self.layers = encoder_stages(dims, drop_path_rates(drop_path_rate, depths), d_state=d_state, scan=scan)
        self.norm = nn.LayerNorm(dims[-1])
        self.head = nn.Linear(dims[-1], num_classes)
        self.apply(initialise)
        nn.init.zeros_(self.head.bias)

    def check_images(self, x: Tensor) -> None:
        """Refuse what is no batch of images; a network for colour images takes grey ones as well."""
        check_colours("VMamba", x, self.input_channels)

    def features(self, x: Tensor) -> Tensor:
        """Return the average over all places of the last stage's normalised map, (b, dims[-1]), of images ``x``."""
        x = pad_to_multiple(x, self.size_multiple)
        x = self.patch_embed(x.expand(-1, COLOURS, -1, -1) if x.shape[1] == 1 else x)  # (b, h / 4, w / 4, dims[0])
        for stage in self.layers:
            x = stage(x)
        mean: Tensor = self.norm(x).mean((1, 2))
        return mean
