import os
import signal

import pytest

from nnunet_mamba.crossval.ending_signals import ending_signals_interrupt


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP], ids=["ended", "hung up"])
def number(request):
    """A signal that ends processes; the tests themselves may run under nohup."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_the_end_of_the_process_is_an_interruption(number):
    with pytest.raises(KeyboardInterrupt), ending_signals_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_what_the_caller_ignores_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with ending_signals_interrupt():
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_IGN
