"""Name the settings in the library's texts as the options of the commands."""

import re

# Settings of the library that are options of a command under the same name.
SETTINGS = frozenset(
    {
        *("output", "name", "dataset_id", "images_only", "jobs", "processes", "report", "skip_invalid", "split"),
        *("images", "masks", "image_pattern", "mask_pattern", "join_masks", "labels", "label_names", "channel_names"),
        *("test_images", "test_masks", "validation_images", "validation_masks"),
        *("allow_empty_masks", "allow_missing_images", "allow_missing_labels", "allow_missing_masks"),
        *("groups", "group_column", "allow_missing_groups"),
        *("size", "sigmoid", "threshold", "organs", "label_numbering", "pixel_spacing", "slice_thickness"),
        *("plans", "folds", "repeats", "device", "executor", "slurm_time", "slurm_gpus", "slurm_option"),
        *("dataset_json", "allow_missing", "batch_size", "batch_order"),
        *("memory", "configuration", "patch_size", "trainer", "trainers"),
        *("folder", "fresh"),
        *("force", "part", "run_report"),
        *("checkpoint_name", "dataset", "overwrite"),
        *("network", "paper", "papers"),
        *("learning_rate", "balanced_loss", "epochs", "held_out"),
        *("allow_same_names",),
        *("data", "rows", "budget"),
        *("metric", "label", "against", "reference", "resamples", "seed", "tie", "tolerance"),
    }
)
# Settings that the command line says in another way.
_SAID_OTHERWISE = {"as_volumes=True": "--as volumes", "as_volumes=False": "--as slices"}
# As Python writes them, between backquotes: a name, or a name and its value.
_SETTING = re.compile(r"`((?P<name>[a-z][a-z_]*)(?:=(?P<value>[^`]*))?)`")


def with_option_names(text: str) -> str:
    """Return a text of the library in the words of the command line.

    Texts name a setting in backquotes, see ``nnunet_mamba.data.problems``. Its option takes that place: --labels for
    `labels`, --skip-invalid for `skip_invalid=True`, --no-join-masks for `join_masks=False`, --split five-fold for
    `split='five-fold'`. Other words in backquotes stay.

    Args:
        text: of an error, a problem or a note.
    """
    return _SETTING.sub(_option_of, text)


def _option_of(setting: re.Match[str]) -> str:
    if setting[1] in _SAID_OTHERWISE:
        return _SAID_OTHERWISE[setting[1]]
    name, value = setting["name"], setting["value"]
    if name not in SETTINGS:
        return setting[0]
    option = name.replace("_", "-")
    if value is None or value == "True":
        return f"--{option}"
    if value == "False":
        return f"--no-{option}"
    return f"--{option} {_without_quotes(value)}"


def _without_quotes(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value
