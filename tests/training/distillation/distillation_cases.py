"""Trainers, labels and batches that the tests of a distillation share."""

import torch

TEACHER = "nnUNetTrainerUltraLBM"
STUDENT = "nnUNetTrainerUltraLBMTDistill_1epoch_1iteration"
REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]}
THREE_LABELS = {"labels": {"background": 0, "disc": 1, "ring": 2}}


def batch_for(trainer):
    """A batch as nnU-Net's data loader gives it, of discs: labels, or region by region."""
    generator = torch.Generator().manual_seed(0)
    patch = trainer.configuration_manager.patch_size
    n_labels = len(trainer.dataset_json["labels"])
    label = torch.randint(0, n_labels, (2, 1, *patch), generator=generator)
    if trainer.label_manager.has_regions:
        label = torch.cat([torch.isin(label, torch.tensor(region)) for region in ([1, 2], [2])], dim=1)
    return {"data": torch.randn(2, 3, *patch, generator=generator), "target": label}


def unequal(state, before):
    return [name for name, value in state.items() if not torch.equal(value, before[name])]
