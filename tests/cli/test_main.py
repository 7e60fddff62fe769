import pytest
import typer

from nnunet_mamba.cli.main import app

SHORT = {"--output": "-o", "--configuration": "-c", "--trainers": "-tr", "--trainer": "-tr"}


def commands(group=None, path=()):
    """All commands, each with the words that call it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize(("name", "command"), commands())
def test_what_several_commands_ask_for_has_the_same_short_name_in_all(name, command):
    for parameter in command.params:
        for long, short in SHORT.items():
            if long in parameter.opts:
                assert short in parameter.opts, f"{name} {long}"
