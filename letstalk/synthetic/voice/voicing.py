"""Pitch, formants and speed of a voice, each without the others."""

from __future__ import annotations

import numpy as np
from scipy.signal import istft, stft

from letstalk.types import SAMPLE_RATE_HZ

_STRETCH_WINDOW = 512  # 32 ms: two periods of a low voice
_STRETCH_HOP = _STRETCH_WINDOW // 2
_SEARCH_SAMPLES = 96  # 6 ms: a period of a usual voice, and the most that a sound is misplaced
_STFT_WINDOW = 512
_ENVELOPE_QUEFRENCY = 46  # coefficients of the cepstrum that make the formants; pitch below 340 Hz lies above


def change_voice(samples: np.ndarray, pitch: float, formant: float) -> np.ndarray:
    """Factors on the pitch and on the formants (the size of the throat). Length and times stay.

    Playing faster raises pitch and formants together and shortens the sound; the length is then given back by
    stretching, and the formants by moving the spectral envelope.
    """
    import soxr

    if not len(samples):
        return samples
    played = soxr.resample(samples, SAMPLE_RATE_HZ * pitch, SAMPLE_RATE_HZ, quality="HQ")
    stretched = stretch(played, len(samples) / max(1, len(played)))
    stretched = np.pad(stretched, (0, max(0, len(samples) - len(stretched))))[: len(samples)]
    return shift_formants(stretched, formant / pitch)


def stretch(samples: np.ndarray, factor: float) -> np.ndarray:
    """`factor` times as long at the same pitch, by waveform-similarity overlap-add. Times scale linearly to 6 ms."""
    num_out = round(len(samples) * factor)
    if abs(factor - 1) < 1e-3 or len(samples) < 2 * _STRETCH_WINDOW:
        return np.interp(np.arange(num_out) / factor, np.arange(len(samples)), samples).astype(np.float32)
    margin = _STRETCH_WINDOW + _SEARCH_SAMPLES
    padded = np.pad(samples.astype(np.float64), (margin, 2 * margin + _STRETCH_HOP))
    window = np.hanning(_STRETCH_WINDOW + 1)[:-1]  # sums to one at half overlap
    out = np.zeros(num_out + 2 * _STRETCH_WINDOW)
    natural = None  # how the piece just laid down would go on in the original
    for place in range(0, num_out + _STRETCH_HOP, _STRETCH_HOP):
        wanted = min(int((place - _STRETCH_HOP) / factor) + margin, len(padded) - margin - _STRETCH_HOP)
        start = wanted
        if natural is not None:
            region = padded[wanted - _SEARCH_SAMPLES : wanted + _SEARCH_SAMPLES + _STRETCH_WINDOW]
            start = wanted - _SEARCH_SAMPLES + _most_alike(region, natural)
        out[place : place + _STRETCH_WINDOW] += window * padded[start : start + _STRETCH_WINDOW]
        natural = padded[start + _STRETCH_HOP : start + _STRETCH_HOP + _STRETCH_WINDOW]
    return out[_STRETCH_HOP : _STRETCH_HOP + num_out].astype(np.float32)


def _most_alike(region: np.ndarray, piece: np.ndarray) -> int:
    """Offset in `region` where it correlates best with `piece`; the middle in silence."""
    size = len(region)
    correlation = np.fft.irfft(np.fft.rfft(region) * np.conj(np.fft.rfft(piece, size)), size)
    valid = correlation[: size - len(piece) + 1]
    return int(np.argmax(valid)) if valid.max() > 1e-9 else _SEARCH_SAMPLES


def shift_formants(samples: np.ndarray, factor: float) -> np.ndarray:
    """Moves the spectral envelope along frequency and leaves pitch and times alone."""
    if abs(factor - 1) < 1e-3 or len(samples) < _STFT_WINDOW:
        return samples.astype(np.float32)
    _, _, spectrum = stft(samples, nperseg=_STFT_WINDOW)
    envelope = _envelope(np.log(np.abs(spectrum) + 1e-6))
    # The level at f moves to f * factor: read the envelope at f / factor.
    source = np.clip(np.arange(len(envelope)) / factor, 0, len(envelope) - 1)
    low = np.minimum(source.astype(int), len(envelope) - 2)
    share = (source - low)[:, None]
    moved = (1 - share) * envelope[low] + share * envelope[low + 1]
    gain = np.exp(np.clip(moved - envelope, -5, 5))
    _, result = istft(spectrum * gain, nperseg=_STFT_WINDOW)
    return np.pad(result, (0, max(0, len(samples) - len(result))))[: len(samples)].astype(np.float32)


def _envelope(log_level: np.ndarray) -> np.ndarray:
    """(num_frequencies, num_frames) smooth line over the tops of the harmonics.

    Smoothing alone would run half-way down into the gaps between harmonics, so it is repeated on what it leaves above.
    """
    envelope = log_level
    for _ in range(4):
        cepstrum = np.fft.irfft(np.maximum(log_level, envelope), axis=0)
        cepstrum[_ENVELOPE_QUEFRENCY : len(cepstrum) - _ENVELOPE_QUEFRENCY + 1] = 0
        envelope = np.fft.rfft(cepstrum, axis=0).real
    return envelope
