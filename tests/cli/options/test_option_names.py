import pytest

from nnunet_mamba.cli.options.option_names import with_option_names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("leave it out with `skip_invalid=True`", "leave it out with --skip-invalid"),
        ("`join_masks=True` joins, `join_masks=False` refuses", "--join-masks joins, --no-join-masks refuses"),
        ("name them in `labels`", "name them in --labels"),
        ("`labels` /a b/l.json: no object", "--labels /a b/l.json: no object"),
        ("draw the line with `threshold=127`", "draw the line with --threshold 127"),
        ("take `split='five-fold'`", "take --split five-fold"),
        ("`folds` '4-0' has", "--folds '4-0' has"),
        ("with `slurm_gpus=0`; pass `device='cpu'`", "with --slurm-gpus 0; pass --device cpu"),
        ("`size=128x96` is for `as_volumes=False`", "--size 128x96 is for --as slices"),
    ],
)
def test_a_setting_is_named_as_its_option(text, shown):
    assert with_option_names(text) == shown


@pytest.mark.parametrize("text", ["a`b`.png", "use `no_such_setting=True`", "labels=1", "``", "`labels", "`Labels`"])
def test_what_is_no_setting_stays(text):
    assert with_option_names(text) == text
