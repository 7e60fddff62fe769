"""Leaving automatic mixed precision where a layer needs full precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context in which autocast is off on ``device_type``, such as "cpu" or "cuda"."""
    # The meta device, on which shapes and operations are counted, has no autocast to leave: asking torch for it would
    # break the graph of torch.compile before torch 2.7. Where autocast is off, entering its context costs 20 us.
    if device_type == "meta" or not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
