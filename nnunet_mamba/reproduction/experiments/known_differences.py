"""Sentences on what several experiments do otherwise than their papers."""

SCORED_ONCE = "The test images are scored once, with the weights of the last epoch."
NO_VALIDATION = (
    "The paper's validation images neither train nor test here: nothing is chosen by them, since the last epoch counts."
)
EPOCHS = "An epoch is nnU-Net's 250 batches here, and a pass over the training images in the paper."
DRAWN = "The paper prints no list of its images: the split is a draw of these sizes with a fixed seed."
MIRRORED = "nnU-Net averages predictions over mirrored images; the published code predicts once."

ULTRALIGHT = (NO_VALIDATION, EPOCHS, DRAWN, MIRRORED)
ULTRALBM = (
    f"UltraLBM-UNet's published code keeps the epoch that scores best on the test images. {SCORED_ONCE}",
    EPOCHS,
    DRAWN,
    MIRRORED,
    "UltraLBM-UNet's backward path flips the sequence, as in the paper; the published code flips the channels.",
)
DISTILLED = (
    "The terms of the distillation have the weights that the paper prints, 1 (soft), 1 (attention) and 10 (gradient); "
    "those of the published code are 4, 0.2 and 19.2 in these units."
)
KL_DISTILL = (
    "KL-Distill is our reading, with a temperature of 3: the paper prints neither its formula nor its temperature."
)
VM_UNET = (
    f"VM-UNet's published code keeps the epoch that scores best on the test images. {SCORED_ONCE}",
    EPOCHS,
    DRAWN,
    MIRRORED,
)

TUMOUR = (
    NO_VALIDATION,
    EPOCHS,
    "The split is that of scikit-learn with the published seed 37, but the order that it drew from is not known.",
    "The loss is nnU-Net's, BCE and Dice; the paper names Dice alone.",
    "Dice is pooled over batches of 16 slices in the order of their names; the paper's order is not known, and its "
    "U-Net has batches of 64.",
    "The published U-Net takes logits above 0.5 for tumour, a probability of 0.62; here it is a probability of 0.5, as "
    "for the others.",
    "The paper's ResNets begin with ImageNet weights, and begin at random here.",
)

VMAMBA = "The paper's VM-UNet begins with VMamba-S's ImageNet weights, and begins at random here."
