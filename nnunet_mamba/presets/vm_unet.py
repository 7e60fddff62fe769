"""VM-UNet, and the twin without its scans."""

from nnunet_mamba.presets.preset import Preset, photograph, variants

_RUAN = "Ruan et al. 2024, arXiv:2402.02491; github.com/JCruan519/VM-UNet"
# Of VM-UNet, of VMamba, with whose weights it begins, and of VMamba's second generation, with whose it cannot.
_WEIGHTS = r"layers_up\.|self_attention\.|layers\..*\.op\.|classifier\."

VM_UNET = Preset(
    name="vm_unet",
    title="VM-UNet",
    trainer="nnUNetTrainerVMUNet",
    network="nnunet_mamba.networks.vm_unet:VMUNet",
    source=_RUAN,
    sizes=(
        photograph(
            27_427_561,
            4.1119,
            13.542,
            dims=(96, 192, 384, 768),
            depths=(2, 2, 2, 2),
            depths_decoder=(2, 2, 2, 1),
            drop_path_rate=0.2,
        ),
    ),
    variants=variants(
        # Table IV; 0.2 is the paper's own.
        dropPath0={"drop_path_rate": 0.0},
        dropPath01={"drop_path_rate": 0.1},
        dropPath03={"drop_path_rate": 0.3},
        # Table V, whose decoders have as many blocks as the encoder, mirrored.
        depths2222={"depths": (2, 2, 2, 2), "depths_decoder": (2, 2, 2, 2)},
        depths2232={"depths": (2, 2, 3, 2), "depths_decoder": (2, 3, 2, 2)},
        depths2242={"depths": (2, 2, 4, 2), "depths_decoder": (2, 4, 2, 2)},
        depths2292={"depths": (2, 2, 9, 2), "depths_decoder": (2, 9, 2, 2)},
    ),
    weights_known_by=_WEIGHTS,
)

VM_UNET_NO_MAMBA = Preset(
    name="vm_unet_no_mamba",
    title="VM-UNet without its scans",
    trainer="nnUNetTrainerVMUNetNoMamba",
    network="nnunet_mamba.networks.vm_unet:VMUNet",
    source=_RUAN,
    sizes=(
        photograph(
            22_037_737,
            4.1119,
            8.1356,
            dims=(96, 192, 384, 768),
            depths=(2, 2, 2, 2),
            depths_decoder=(2, 2, 2, 1),
            drop_path_rate=0.2,
            scan=False,
        ),
    ),
    weights_known_by=_WEIGHTS,
)

PRESETS = (
    VM_UNET,
    VM_UNET_NO_MAMBA,
)
