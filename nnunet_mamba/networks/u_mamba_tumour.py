"""UMambaBot and UMambaBot-PP of the tumour papers: a ResNet-D U-Net with a Mamba layer at its bottleneck.

Source: Crews and Whalen 2024, "Mamba-Based Tumor Segmentation" and "Mamba vs SOTA for Vision Tasks".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags
from nnunet_mamba.blocks.layers_by_axes import convolution_for, instance_norm_for
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.networks.stage_sizes import PerStage, PerStageAndAxis, resolve_stage_sizes
from nnunet_mamba.networks.stage_u_net import StageUNet


class UMambaBotTumour(StageUNet):
    """Segment images or volumes of any size; a Mamba layer mixes the deepest map, in PP after pyramid pooling.

    Every argument per stage is one number for all stages or a sequence; kernel sizes and strides are per stage one
    number for all axes or a sequence.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        features_per_stage: channels of every stage, highest resolution first.
        kernel_sizes: odd; the number of axes makes the network 2D or 3D.
        strides: by which each stage's map is smaller than the one before; None is 1, then 2.
        n_conv_per_stage: residual blocks per stage of the encoder.
        n_conv_per_stage_decoder: residual blocks per stage of the decoder, lowest resolution first.
        pyramid_pooling: whether the deepest map passes pyramid pooling first; its channels are a multiple of 8 then.
        deep_supervision: whether the result is a list of logits, see ``StageUNet``; the weights are the same.
        spatial_dims: 2 or 3, where the kernel sizes do not tell; None is 2 then.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        features_per_stage: Sequence[int] = (32, 64, 128, 256, 512),
        kernel_sizes: PerStageAndAxis = 3,
        strides: PerStageAndAxis | None = None,
        n_conv_per_stage: PerStage = 1,
        n_conv_per_stage_decoder: PerStage = 1,
        pyramid_pooling: bool = False,
        deep_supervision: bool = False,
        spatial_dims: int | None = None,
    ) -> None:
        # Here, because they come with nnU-Net, which the other networks do without.
        from dynamic_network_architectures.building_blocks.residual_encoders import (  # type: ignore[import-untyped]
            ResidualEncoder,
        )
        from dynamic_network_architectures.building_blocks.unet_residual_decoder import (  # type: ignore[import-untyped]
            UNetResDecoder,
        )

        sizes = resolve_stage_sizes(
            type(self).__name__,
            features_per_stage,
            kernel_sizes=kernel_sizes,
            strides=strides,
            n_conv_per_stage=n_conv_per_stage,
            n_conv_per_stage_decoder=n_conv_per_stage_decoder,
            spatial_dims=spatial_dims,
        )
        require_flags(type(self).__name__, deep_supervision=deep_supervision)
        super().__init__(input_channels, num_classes, sizes)
        require_flags(type(self).__name__, pyramid_pooling=pyramid_pooling)
        deepest, dims = sizes.features[-1], sizes.spatial_dims
        self.encoder = ResidualEncoder(
            input_channels,
            n_stages=len(sizes.features),
            features_per_stage=sizes.features,
            conv_op=convolution_for(dims),
            kernel_sizes=sizes.kernel_sizes,
            strides=sizes.strides,
            n_blocks_per_stage=sizes.n_blocks,
            conv_bias=True,
            norm_op=instance_norm_for(dims),
            norm_op_kwargs={},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            return_skips=True,
        )
        self.pyramid_pooling = PyramidPooling(deepest, spatial_dims=dims) if pyramid_pooling else nn.Identity()
        self.mamba_layer = MambaLayer(deepest)
        self.decoder = UNetResDecoder(self.encoder, num_classes, sizes.n_blocks_decoder, deep_supervision)

    def check_images(self, x: Tensor) -> None:
        """Refuse what is no batch of images, and volumes in half precision on a CPU.

        Raises:
            NotImplementedError: torch has no average pooling of such volumes.
        """
        super().check_images(x)
        is_half = x.ndim == 5 and x.device.type == "cpu" and x.dtype.itemsize < 4
        if is_half and not torch.is_autocast_enabled("cpu"):
            raise NotImplementedError(
                f"{type(self).__name__}: volumes are {x.dtype} on a CPU, where torch has no average pooling of them; "
                f"keep network and volumes in float32 and use torch.autocast('cpu', dtype=torch.bfloat16)"
            )

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        return {"pyramid_pooling": "ppm", "mamba_layer.norm": "ln", "mamba_layer.mamba": "mamba"}

    def _mix_deepest(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mamba_layer(self.pyramid_pooling(x))
        return mixed
