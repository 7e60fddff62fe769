"""The error for a value of the user's that planning cannot take."""

from typing import Literal, TypeAlias

Argument: TypeAlias = Literal["configuration", "device", "memory", "patch size", "trainer"]


class ArgumentError(ValueError):
    """A value cannot be planned with. A command shows its option in the place of the argument.

    Args:
        argument: what the value stands for.
        problem: what was given, why it does not fit, and what would.
    """

    def __init__(self, argument: Argument, problem: str) -> None:
        super().__init__(f"{argument} {problem}")
        self.argument: Argument = argument
        self.problem = problem
