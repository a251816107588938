"""Where nobody speaks, told frame by frame while the sound arrives.

Only for settings that treat pauses apart (a face that is to keep still in them). Closed lips in silence are the
network's own work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TYPICAL_DB = -25.0  # frame level of speech before any was heard
SINKING_DB = 0.06  # per frame, 1.5 dB a second: the speaker may come to speak more softly
BELOW_SPEECH_DB = 28.0  # under the speaker's loud frames by so much, nobody speaks
NEVER_SPEECH_DB = -60.0
PAUSE_FRAMES = 8  # 0.32 s: shorter gaps lie inside words


@dataclass(frozen=True)
class PauseMeter:
    """What must be known of the past: how loud the speaker is, and for how long it has been quiet."""

    loud_db: float = TYPICAL_DB
    num_quiet: int = PAUSE_FRAMES  # before the first word there is a pause

    def push(self, levels_db: np.ndarray) -> tuple[np.ndarray, PauseMeter]:
        """Levels (F,) of the next frames -> (F,) bool, true in a pause, and the meter after them."""
        loud_db, num_quiet = self.loud_db, self.num_quiet
        paused = np.zeros(len(levels_db), bool)
        for i, level_db in enumerate(map(float, levels_db)):
            loud_db = max(loud_db - SINKING_DB, level_db, NEVER_SPEECH_DB + BELOW_SPEECH_DB)
            num_quiet = num_quiet + 1 if level_db < loud_db - BELOW_SPEECH_DB else 0
            paused[i] = num_quiet >= PAUSE_FRAMES
        return paused, PauseMeter(loud_db, num_quiet)
