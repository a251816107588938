"""How loud a sound is and where somebody speaks: two plain measures, no model.

Loudness follows ITU-R BS.1770-4 (K-weighting, blocks of 400 ms every 100 ms, gates at -70 LUFS and 10 LU under the
mean). The weighting filters are given there for 48 kHz; for another rate they are designed anew from the same
analogue shapes.
"""

from __future__ import annotations

import math

import numpy as np

from letstalk.types import SAMPLES_PER_FRAME, exact_div

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
DIGITAL_SILENCE_DB = -90.0  # about the last bit of 16-bit sound: nothing can be told apart below it

QUIET_ROOM_DB = -50.0  # an even murmur under it is a room, not a voice


def _shelf(rate_hz: int) -> list[float]:
    """The head's effect: +4 dB above 1.7 kHz. One second-order section (b0 b1 b2 a0 a1 a2)."""
    centre_hz, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * centre_hz / rate_hz)
    high = 10.0 ** (gain_db / 20.0)
    mid = high**0.4996667741545416
    a0 = 1.0 + k / quality + k * k
    numerator = [high + mid * k / quality + k * k, 2.0 * (k * k - high), high - mid * k / quality + k * k]
    return [value / a0 for value in numerator] + [1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / quality + k * k) / a0]


def _high_pass(rate_hz: int) -> list[float]:
    """The ear's deafness to rumble: a high pass of second order at 38 Hz, its numerator unscaled as in the standard."""
    cutoff_hz, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * cutoff_hz / rate_hz)
    a0 = 1.0 + k / quality + k * k
    return [1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / quality + k * k) / a0]


class LoudnessMeter:
    """Integrated loudness of a mono signal that comes in blocks; the result does not depend on how it was cut.

    Keeps one number for each 100 ms. A sound under 400 ms counts as one block. At 16 kHz nothing above 8 kHz is heard.
    """

    def __init__(self, rate_hz: int) -> None:
        self._step = exact_div(rate_hz, 10)
        self._sections = np.array([_shelf(rate_hz), _high_pass(rate_hz)])
        self._state = np.zeros((2, 2))
        self._rest = np.zeros(0)
        self._step_powers: list[np.ndarray] = []

    def push(self, block: np.ndarray) -> None:
        from scipy.signal import sosfilt

        if not len(block):
            return
        weighted, self._state = sosfilt(self._sections, block.astype(np.float64), zi=self._state)
        joined = np.concatenate([self._rest, np.square(weighted)])
        num_whole = len(joined) - len(joined) % self._step
        self._step_powers.append(joined[:num_whole].reshape(-1, self._step).mean(axis=1))
        self._rest = joined[num_whole:]

    def integrated_lufs(self) -> float:
        """-inf when there is nothing above the absolute gate."""
        steps = np.concatenate(self._step_powers) if self._step_powers else np.zeros(0)
        if len(steps) >= 4:
            powers = np.convolve(steps, np.full(4, 0.25), mode="valid")
        else:
            num_samples = len(steps) * self._step + len(self._rest)
            powers = np.array([(steps.sum() * self._step + self._rest.sum()) / max(1, num_samples)])
        loud = powers[_lufs(powers) > ABSOLUTE_GATE_LUFS]
        if not len(loud):
            return -math.inf
        loud = loud[_lufs(loud) > _lufs(loud.mean()) + RELATIVE_GATE_LU]
        return float(_lufs(loud.mean()))


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-15))


def loudness_lufs(samples: np.ndarray, rate_hz: int) -> float:
    meter = LoudnessMeter(rate_hz)
    meter.push(samples)
    return meter.integrated_lufs()


def frame_levels_db(samples: np.ndarray) -> np.ndarray:
    """RMS of each 25 fps frame of 16 kHz mono in dB of full scale, (num_frames,); the last frame may be partial."""
    if not len(samples):
        return np.zeros(0, np.float32)
    starts = np.arange(0, len(samples), SAMPLES_PER_FRAME)
    sums = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
    lengths = np.minimum(SAMPLES_PER_FRAME, len(samples) - starts)
    return (10.0 * np.log10(sums / lengths + 1e-12)).astype(np.float32)


def voice_from_levels(levels_db: np.ndarray, hangover_frames: int = 5) -> np.ndarray:
    """(num_frames,) bool: where somebody speaks, from the frames' levels alone.

    Thresholds lie between the sound's own quiet (10th percentile) and loud (95th) frames, so a change of gain changes
    nothing. Speech starts above the upper threshold, lasts until the level is under the lower one, and
    `hangover_frames` longer, for the soft ends of words; a single loud frame is a click. Sound whose level hardly moves
    offers no pause to compare with: all of it counts unless it is as quiet as a room. It is a measure of activity, and
    music is active too.
    """
    audible = levels_db > DIGITAL_SILENCE_DB
    if not audible.any():
        return np.zeros(len(levels_db), bool)
    loud = float(np.percentile(levels_db[audible], 95))
    quiet = max(float(np.percentile(levels_db, 10)), loud - 50.0)
    span = loud - quiet
    if span < 10.0:
        start_db = stop_db = max(QUIET_ROOM_DB, quiet - 20.0)
    else:
        start_db, stop_db = quiet + 0.5 * span, quiet + 0.35 * span
    going, together = levels_db > stop_db, min(2, len(levels_db))
    around = np.pad(going.astype(int), 1)
    starting = (levels_db > start_db) & (around[:-2] + around[1:-1] + around[2:] >= together)
    voiced = np.zeros(len(levels_db), bool)
    since_speech = hangover_frames
    for i in range(len(levels_db)):
        is_speech = starting[i] or (going[i] and since_speech < hangover_frames)
        since_speech = 0 if is_speech else since_speech + 1
        voiced[i] = since_speech < hangover_frames
    return voiced


def voice_activity(samples: np.ndarray) -> np.ndarray:
    """(num_frames,) bool at 25 fps for 16 kHz mono samples; see `voice_from_levels`."""
    return voice_from_levels(frame_levels_db(samples))
