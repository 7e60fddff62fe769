"""Every network of the catalogue compiles into one graph, and exports, for odd sizes of images and of batches."""

import pytest
import torch
from contract_cases import CASES, assert_near, in_slower_tiers, in_tiers


@pytest.mark.parametrize("name", in_tiers())
def test_is_one_graph_with_the_eager_logits_at_every_size(name):
    _compare_compiled(CASES[name], backend="eager")


# As inductor takes the graph: without what changes a tensor in place, and with sizes that are not known.
@pytest.mark.parametrize("name", in_slower_tiers())
def test_is_compiled_ahead_of_time_with_the_eager_logits_at_every_size(name):
    _compare_compiled(CASES[name], backend="aot_eager")


def _compare_compiled(case, *, backend):
    network = case.build_with_all_heads()
    # No multiples either, or torch would compile a second graph, for images that are not padded.
    sizes = [case.odd] if case.has_one_size else [(7, 50, 30), (9, 17, 65)]
    first, *others = case.images(), *(case.images(*size[-case.dims :], batch=3) for size in sizes)
    for axis in (0,) if case.has_one_size else (0, *range(2, 2 + case.dims)):
        torch._dynamo.mark_dynamic(first, axis)
    compiled = torch.compile(network, backend=backend, fullgraph=True)

    with torch.inference_mode():
        for images in (first, *others):
            assert_near(compiled(images), network(images), 1e-4)


@pytest.mark.slow
def test_inductor_gives_the_eager_logits_at_every_size():
    case = CASES["ultralight_vm_unet-2d"]
    network, first = case.build(), case.images()
    for axis in (0, 2, 3):
        torch._dynamo.mark_dynamic(first, axis)
    compiled = torch.compile(network, backend="inductor")

    with torch.inference_mode():
        for images in (first, case.images(50, 30, batch=3), case.images(71, 19)):
            torch.testing.assert_close(compiled(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", in_tiers(quick={"u_mamba_enc-3d"}))
def test_exports(name):
    case = CASES[name]
    network, images = case.build(), case.images()

    with torch.no_grad():
        exported = torch.export.export(network, (torch.zeros_like(images),)).module()
        assert_near(exported(images), network(images), 1e-4)
