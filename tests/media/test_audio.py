import av
import numpy as np
import pytest
from av.container import InputContainer
from media_files import SOUND_FORMATS, encode_pictures, encode_sound, speech_like

from letstalk.errors import InputError
from letstalk.media.audio import decode_blocks, in_blocks, load_audio, probe_audio, resample_stream, write_wav
from letstalk.types import SAMPLE_RATE_HZ

SECONDS = 1.5
LOSSLESS = {
    "wav8": 0.02,
    "wav16": 1e-3,
    "wav24": 1e-3,
    "wav64": 1e-3,
    "wavfloat": 1e-3,
    "flac": 1e-3,
    "aiff": 1e-3,
    "w64": 1e-3,
    "mkv": 1e-3,
}
# A pipe cannot fill in a length: what a browser's recorder and a recorder that was killed leave behind.
LIVE = ("wav16", "wavfloat", "mp3", "flac", "vorbis", "opus", "adts", "webm", "mkv")


def reference(rate_hz: int) -> np.ndarray:
    return speech_like(SECONDS, SAMPLE_RATE_HZ)[:, 0]


def best_shift(a: np.ndarray, b: np.ndarray, reach: int = 800) -> int:
    """How many samples later `b` is, by cross-correlation."""
    size = 1 << (len(a) + len(b)).bit_length()
    product = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    around = np.concatenate([product[-reach:], product[: reach + 1]])
    return int(around.argmax()) - reach


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", SOUND_FORMATS)
def test_every_format_becomes_the_same_speech(tmp_path, name, channels):
    suffix, _, _, _, rate_hz = SOUND_FORMATS[name]
    path = encode_sound(tmp_path / f"a{suffix}", name, speech_like(SECONDS, rate_hz, channels))
    audio = load_audio(path)
    wanted = reference(rate_hz)
    assert audio.samples.dtype == np.float32 and audio.source == path
    assert abs(audio.duration_seconds - SECONDS) < 0.08
    # MP3 and ADTS have no way to tell the decoder's delay; all others start on the sample.
    assert abs(best_shift(wanted, audio.samples)) <= (0 if name not in ("mp3", "adts") else 1024)
    if name in LOSSLESS:
        assert np.abs(audio.samples[: len(wanted)] - wanted).max() < LOSSLESS[name]


@pytest.mark.parametrize("name", LIVE)
def test_recordings_without_a_length(tmp_path, name):
    suffix, _, _, _, rate_hz = SOUND_FORMATS[name]
    path = encode_sound(tmp_path / f"a{suffix}", name, speech_like(SECONDS, rate_hz), live=True)
    assert abs(load_audio(path).duration_seconds - SECONDS) < 0.08


def test_live_webm_really_states_no_length(tmp_path):
    path = encode_sound(tmp_path / "a.webm", "webm", speech_like(1, 48_000), live=True)
    with av.open(str(path)) as container:
        assert isinstance(container, InputContainer) and container.duration is None


def test_m4a_ends_where_it_says(tmp_path):
    path = encode_sound(tmp_path / "a.m4a", "m4a", speech_like(1.0, 44_100))
    assert len(load_audio(path).samples) == SAMPLE_RATE_HZ


def test_wrong_suffix_is_read_by_content(tmp_path):
    path = encode_sound(tmp_path / "a.flac", "flac", speech_like(1, 96_000)).rename(tmp_path / "a.wav")
    assert len(load_audio(path).samples) == SAMPLE_RATE_HZ


def test_max_seconds_cuts_and_says_so(tmp_path):
    path = encode_sound(tmp_path / "a.wav", "wav16", speech_like(2, 44_100))
    whole, cut = load_audio(path), load_audio(path, max_seconds=0.5)
    assert len(cut.samples) == 8000
    np.testing.assert_array_equal(cut.samples, whole.samples[:8000])
    assert any("first 0.5 s" in note for note in cut.notes) and not whole.notes
    assert not load_audio(path, max_seconds=2.0).notes


@pytest.mark.parametrize("block_samples", [1, 640, 7777, 10**6])
def test_blocks_are_the_whole(tmp_path, block_samples):
    path = encode_sound(tmp_path / "a.mp3", "mp3", speech_like(0.7, 44_100, 2))
    blocks = list(decode_blocks(path, block_samples))
    assert {len(block) for block in blocks[:-1]} <= {block_samples} and 0 < len(blocks[-1]) <= block_samples
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(path).samples)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_live_resampling_does_not_depend_on_the_cuts(rate_hz, channels):
    sound = speech_like(1.37, rate_hz, channels)
    sound = sound[:, 0] if channels == 1 else sound * np.array([0.3, 0.9], np.float32)

    def run(size: int) -> np.ndarray:
        return np.concatenate(list(resample_stream(in_blocks([sound], size), rate_hz, channels)))

    whole = run(len(sound))
    assert abs(len(whole) - 1.37 * SAMPLE_RATE_HZ) <= 1
    for seconds in (0.02, 0.137):
        np.testing.assert_array_equal(run(round(seconds * rate_hz)), whole)


def test_live_resampling_is_prompt():
    """Sound must not wait inside: a live face would lag."""
    num_fed = 0

    def microphone():
        nonlocal num_fed
        for _ in range(50):
            num_fed += 960
            yield np.zeros(960, np.float32)

    num_out = 0
    for block in resample_stream(microphone(), 48_000, 1):
        num_out += len(block)
        assert num_fed / 48_000 - num_out / 16_000 < 0.005
    assert num_out == SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"), [(np.int16, 32768, 0), (np.int32, 2**31, 0), (np.uint8, 128, 128)]
)
def test_live_integers_have_the_same_level(dtype, scale, offset):
    sound = speech_like(0.5, SAMPLE_RATE_HZ)[:, 0]
    integers = np.round(sound.astype(np.float64) * scale + offset).astype(dtype)
    heard = np.concatenate(list(resample_stream([integers], SAMPLE_RATE_HZ, 1)))
    assert np.abs(heard - sound).max() <= 1.0 / scale + 1e-6


def test_live_input_is_cleaned_and_checked():
    broken = np.array([0.5, np.nan, np.inf, -np.inf, 3.0] * 200, np.float32)
    heard = np.concatenate(list(resample_stream([broken, np.zeros(0, np.float32)], SAMPLE_RATE_HZ, 1)))
    assert np.isfinite(heard).all() and np.abs(heard).max() <= 1.0 and len(heard) == len(broken)
    assert list(resample_stream([], 48_000, 1)) == []
    for block, rate_hz, channels in [
        (np.zeros((10, 3), np.float32), 16_000, 2),
        (np.zeros(10, np.complex64), 16_000, 1),
        (np.zeros(10, np.float32), 0, 1),
    ]:
        with pytest.raises(InputError):
            list(resample_stream([block], rate_hz, channels))


def test_values_that_are_no_numbers_become_silence(tmp_path):
    sound = speech_like(1.0, 48_000)
    sound[1000:1200] = np.nan
    sound[5000], sound[6000] = np.inf, -np.inf
    path = encode_sound(tmp_path / "a.wav", "wavfloat", sound)
    audio = load_audio(path)
    assert np.isfinite(audio.samples).all() and len(audio.samples) == SAMPLE_RATE_HZ
    assert any("202 values" in note for note in audio.notes), audio.notes


def test_clipping_and_silence_are_said(tmp_path):
    loud = np.clip(speech_like(1.0, 44_100) * 20, -1, 1)
    info = probe_audio(encode_sound(tmp_path / "loud.wav", "wav16", loud))
    share = float(np.mean(np.abs(loud) >= 1.0))
    assert info.clipped_share == pytest.approx(share, rel=0.02) and any("clipped" in note for note in info.notes)
    silent = probe_audio(encode_sound(tmp_path / "silent.wav", "wav16", np.zeros((44_100, 1), np.float32)))
    assert silent.loudness_lufs == -np.inf and silent.speech_share == 0 and any("silent" in n for n in silent.notes)


def test_overdriven_floats_are_held_at_full_scale(tmp_path):
    path = encode_sound(tmp_path / "a.wav", "wavfloat", speech_like(1.0, 48_000) * 50)
    assert np.abs(load_audio(path).samples).max() <= 1.0
    assert probe_audio(path).peak > 10.0


def test_probe_counts(tmp_path):
    info = probe_audio(encode_sound(tmp_path / "a.webm", "webm", speech_like(2.0, 48_000, 2), live=True))
    assert (info.codec, info.rate_hz, info.num_channels) == ("opus", 48_000, 2)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.03)
    assert 0 < info.speech_share <= 1 and -30 < info.loudness_lufs < 0


def test_sound_of_a_video_is_taken(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        for i in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            picture.pts = i
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        # The sound starts 0.3 s after the pictures: the speech is taken from its own start, and the shift is said.
        frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 9000, np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 4800
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    loaded = load_audio(path)
    assert len(loaded.samples) == 8000 and loaded.samples[0] == pytest.approx(9000 / 32768, abs=1e-3)
    assert any("0.30 s after the pictures" in note for note in loaded.notes), loaded.notes


def test_write_wav_round_trip(tmp_path):
    sound = speech_like(0.5, SAMPLE_RATE_HZ, 2)
    path = write_wav(tmp_path / "out.wav", sound, SAMPLE_RATE_HZ)
    assert [p.name for p in tmp_path.iterdir()] == ["out.wav"]
    assert np.abs(load_audio(path).samples - sound.mean(axis=1)).max() < 1e-4
    extreme = write_wav(tmp_path / "x.wav", np.array([2.0, -2.0, np.nan, np.inf, -np.inf], np.float32))
    # int16 is read back over 32768, so that full scale is just under 1
    np.testing.assert_allclose(load_audio(extreme).samples, [1, -1, 0, 1, -1], atol=1e-4)


def test_a_long_sound_does_not_lie_in_memory_twice(tmp_path):
    """What loading takes beyond the result must stay far under the result's size."""
    import tracemalloc

    path = tmp_path / "long.wav"
    write_wav(path, np.tile(speech_like(10, SAMPLE_RATE_HZ)[:, 0], 36))
    tracemalloc.start()
    audio = load_audio(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert audio.duration_seconds == 360
    assert peak < 1.3 * audio.samples.nbytes + 4e6


def test_video_without_sound_is_refused(tmp_path):
    with pytest.raises(InputError, match="pictures but no sound"):
        load_audio(encode_pictures(tmp_path / "a.mp4"))


@pytest.mark.parametrize("channels", [3, 6, 9, 17, 64])
def test_channels_that_nobody_names_are_averaged(tmp_path, channels):
    sound = speech_like(0.5, SAMPLE_RATE_HZ, channels) * np.linspace(0.1, 1, channels, dtype=np.float32)
    path = write_wav(tmp_path / "a.wav", sound)
    np.testing.assert_allclose(load_audio(path).samples, sound.mean(axis=1), atol=1e-4)
    assert probe_audio(path).num_channels == channels


def test_rates_that_are_no_sound(tmp_path):
    with pytest.raises(InputError, match="1 samples a second"):
        load_audio(write_wav(tmp_path / "a.wav", np.zeros(10, np.float32), 1))
    one = load_audio(write_wav(tmp_path / "b.wav", np.zeros(1, np.float32)))
    assert one.num_frames == 1
    for num_samples in (1, 2, 3, 10, 100):
        path = write_wav(tmp_path / "c.wav", np.zeros(num_samples, np.float32), 192_000)
        try:
            assert 1 <= len(load_audio(path).samples) <= 10
        except InputError as error:
            assert "too short" in str(error)
