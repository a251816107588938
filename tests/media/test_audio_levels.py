import math
from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import speech_like

from letstalk.media.loudness import LoudnessMeter, loudness_lufs, voice_activity
from letstalk.types import SAMPLE_RATE_HZ


def ebur128_lufs(samples: np.ndarray, rate_hz: int) -> float:
    """The same measure by FFmpeg's filter, as the judge."""
    graph = av.filter.Graph()
    kind = {"sample_fmt": "flt", "channel_layout": "mono", "time_base": f"1/{rate_hz}"}
    source, meter, sink = graph.add("abuffer", sample_rate=str(rate_hz), **kind), None, graph.add("abuffersink")
    meter = graph.add("ebur128", "metadata=1")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    graph.push(frame)
    graph.push(None)
    loudness = math.nan
    while True:
        try:
            loudness = float(graph.pull().metadata["lavfi.r128.I"])
        except (EOFError, BlockingIOError):
            return loudness


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_full_scale_tone(rate_hz):
    tone = np.sin(2 * np.pi * 997 * np.arange(3 * rate_hz) / rate_hz)
    assert loudness_lufs(tone, rate_hz) == pytest.approx(-3.01, abs=0.06)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_agrees_with_ffmpeg_on_gated_speech(rate_hz):
    gains = np.repeat([1.0, 0.1, 0.001, 0.5], 2 * rate_hz).astype(np.float32)
    sound = speech_like(8, rate_hz)[:, 0] * gains + np.random.default_rng(0).normal(0, 0.01, 8 * rate_hz) * gains
    assert loudness_lufs(sound, rate_hz) == pytest.approx(ebur128_lufs(sound, rate_hz), abs=0.1)


def test_loudness_does_not_depend_on_the_cuts():
    sound = speech_like(3, SAMPLE_RATE_HZ)[:, 0]
    meter = LoudnessMeter(SAMPLE_RATE_HZ)
    for start in range(0, len(sound), 777):
        meter.push(sound[start : start + 777])
    assert meter.integrated_lufs() == pytest.approx(loudness_lufs(sound, SAMPLE_RATE_HZ), abs=1e-9)
    assert loudness_lufs(sound * 0.1, SAMPLE_RATE_HZ) == pytest.approx(meter.integrated_lufs() - 20, abs=0.01)


def test_loudness_of_next_to_nothing():
    assert loudness_lufs(np.zeros(0), SAMPLE_RATE_HZ) == -math.inf
    assert loudness_lufs(np.zeros(16_000), SAMPLE_RATE_HZ) == -math.inf
    assert -20 < loudness_lufs(speech_like(0.25, SAMPLE_RATE_HZ)[:, 0], SAMPLE_RATE_HZ) < 0


def sentence_with_pauses(noise_level: float) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of voice, one of pause, three times; and the truth for each frame."""
    time = np.arange(9 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    truth = (time % 3) < 2
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9)) * (
        0.7 + 0.3 * np.sin(2 * np.pi * 4 * time)
    )
    noise = np.random.default_rng(3).normal(0, noise_level, len(time))
    return (0.2 * voice * truth + noise).astype(np.float32), truth[::640]


@pytest.mark.parametrize("noise_level", [0.0, 1e-4, 5e-3, 2e-2])
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_voice_is_found_at_any_gain(noise_level, gain):
    sound, truth = sentence_with_pauses(noise_level)
    voiced = voice_activity(sound * np.float32(gain))
    assert voiced[truth].mean() > 0.98
    late = truth.copy()
    for shift in range(1, 6):
        late[shift:] |= truth[:-shift]  # the hangover belongs to the speech
    assert voiced[~late].mean() < 0.02
    np.testing.assert_array_equal(voiced, voice_activity(sound))


def test_silence_click_and_steady_voice():
    assert not voice_activity(np.zeros(16_000, np.float32)).any()
    assert len(voice_activity(np.zeros(0, np.float32))) == 0
    click = np.random.default_rng(0).normal(0, 1e-4, 32_000).astype(np.float32)
    click[16_000:16_050] = 0.8
    assert voice_activity(click).sum() == 0
    steady = np.where(np.arange(8_001) % 80 < 40, 0.5, -0.5).astype(np.float32)
    for num_samples in (1, 640, 641, 1280, 1281):
        assert voice_activity(steady[:num_samples]).all()
    assert voice_activity(steady).all() and len(voice_activity(steady)) == 13
