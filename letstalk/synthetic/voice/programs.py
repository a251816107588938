"""Speech engines are programs of their own; all are called in one way."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from letstalk.errors import LetsTalkError

TIMEOUT_SECONDS = 300.0  # a sentence takes a tenth of a second; on a very busy machine it has taken a minute


def run_engine(
    engine: str, command: Sequence[str], given: bytes = b"", timeout_seconds: float = TIMEOUT_SECONDS
) -> subprocess.CompletedProcess[bytes]:
    """Runs to the end, whatever the exit code; an engine that hangs is stopped and told of."""
    try:
        return subprocess.run(list(command), input=given, capture_output=True, timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise LetsTalkError(
            f"{engine} did not answer within {timeout_seconds:g} seconds.",
            "Try again when the machine is less busy; what was finished is kept.",
        ) from error
