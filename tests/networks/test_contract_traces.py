"""Every network of the catalogue is recorded by ``torch.jit.trace`` for images of one size, and refuses all others."""

import io

import pytest
import torch
from contract_cases import CASES, all_cases, assert_near, in_tiers


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", in_tiers())
def test_a_saved_trace_gives_the_eager_logits_at_its_size_and_refuses_others(name):
    case, file = CASES[name], io.BytesIO()
    network = case.build_with_all_heads()

    # Not strict, because a network with several heads returns a list.
    torch.jit.save(torch.jit.trace(network, case.images(batch=1), strict=False, check_trace=False), file)
    file.seek(0)
    loaded = torch.jit.load(file)

    with torch.no_grad():
        for images in (case.images(batch=1), case.images(batch=3)):
            assert_near(loaded(images), network(images), 1e-4)
        with pytest.raises(torch.jit.Error, match=rf"{case.class_name}: images of shape .* recorded this network for"):
            loaded(case.images(*(size + 1 for size in case.odd)))


@pytest.mark.parametrize("name", all_cases())
def test_a_script_is_refused_in_a_sentence(name):
    with torch.device("meta"):
        network = CASES[name].build()
    with pytest.raises(NotImplementedError, match=rf"^{CASES[name].class_name}: torch.jit.script cannot compile it; "):
        torch.jit.script(torch.nn.Sequential(network))
