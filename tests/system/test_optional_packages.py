import pytest

from nnunet_mamba.system.optional_packages import require_packages


def test_what_is_there_is_no_news():
    require_packages(["json", "re"], what="tests", install="python")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["json", "no_such"], r"^tests need no_such, which is not installed: pip install it$"),
        (["no_such", "nor_this"], r"^tests need no_such and nor_this, which are not installed: pip install it$"),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(names, told):
    with pytest.raises(ModuleNotFoundError, match=told) as caught:
        require_packages(names, what="tests", install="it")
    assert caught.value.name == "no_such"
