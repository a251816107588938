"""Errors that a user can cause. Each message says what was wrong and what to do next, and is shown as it is.

Mistakes of our own are not in here: those stay `AssertionError`, `TypeError` and the like, with their traceback.
"""


class LetsTalkError(Exception):
    """Base of everything that a user can cause.

    `problem` says what was wrong, `advice` what to do next; `str(error)` is both, in that order.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        self.problem = problem.strip()
        self.advice = advice.strip()
        super().__init__(f"{self.problem} {self.advice}".strip())


class InputError(LetsTalkError):
    """A picture, sound or video that cannot be used."""


class OutputError(LetsTalkError):
    """A target that cannot be written: no right to, no space, a folder in its place."""


class SettingsError(LetsTalkError):
    """A setting that is unknown, out of range or in conflict with another."""


class MissingAssetError(LetsTalkError):
    """Weights, an asset pack or a system library that is not on this machine."""


class Cancelled(LetsTalkError):
    """The user asked to cancel. Raised at the next check of the token, never swallowed in between."""

    def __init__(self, problem: str = "Cancelled.", advice: str = "Nothing was kept.") -> None:
        super().__init__(problem, advice)
