"""What cannot be used gets one sentence with a next step, whatever its name; no other file is ever opened."""

import os
import socket
import stat
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from media_files import SOUND_FORMATS, encode_sound, speech_like

from letstalk.errors import InputError, OutputError
from letstalk.media.audio import decode_blocks, load_audio, probe_audio, write_wav
from letstalk.types import SAMPLE_RATE_HZ

ODD_NAMES = [
    "with spaces.wav",
    "quotes ' and \".wav",
    "Ünïcödé 語音 🎙.wav",
    "-leading-dash.wav",
    "%05d percent %s.wav",
    "file:x.wav",
    "concat:a|b.wav",
    "pipe:0",
    "data:audio,x.wav",
    "line\nbreak.wav",
    "n" * 196 + ".wav",
]


def refused(path, words: str = "") -> InputError:
    for read in (load_audio, probe_audio, lambda p: list(decode_blocks(p, 640))):
        with pytest.raises(InputError) as caught:
            read(path)
        error = caught.value
        assert words in str(error), error
        assert error.problem.endswith(".") and error.advice.endswith("."), "a sentence and a next step"
        assert "\n" not in str(error) and "Traceback" not in str(error) and "<none>" not in str(error)
        assert error.__suppress_context__ or error.__cause__ is None
    return error


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names(tmp_path, name):
    sound = speech_like(0.2, SAMPLE_RATE_HZ)[:, 0]
    path = write_wav(tmp_path / name, sound)
    assert len(load_audio(path).samples) == len(sound)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_as_given_in_the_current_folder(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_wav(name, speech_like(0.2, SAMPLE_RATE_HZ)[:, 0])
    assert len(load_audio(name).samples) == 3200


def test_missing_folder_empty_text(tmp_path):
    refused(tmp_path / "missing.wav", "does not exist")
    refused(tmp_path / "file" / "below.wav", "does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.wav").touch()
    refused(tmp_path / "empty.wav", "is empty")
    for suffix in ("wav", "mp3", "m4a", "webm", "ogg", "flac", "aac"):
        text = tmp_path / f"text.{suffix}"
        text.write_text("This is a letter, not a recording.\n" * 50)
        refused(text)
    for size in (1, 10, 100_000):
        noise = tmp_path / "noise.wav"
        noise.write_bytes(np.random.default_rng(size).bytes(size))
        refused(noise)
    refused("nul\0byte.wav")
    refused(tmp_path / ("n" * 300 + ".wav"))


def test_device_and_pipe_do_not_hang(tmp_path):
    refused("/dev/zero", "device")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        refused(tmp_path / "pipe.wav", "pipe")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_no_right_to_read(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.zeros(640, np.float32))
    path.chmod(stat.S_IWUSR)
    refused(path, "may not be read")


@pytest.mark.parametrize("name", [n for n in SOUND_FORMATS if n not in ("vorbis", "opus", "adts")])
def test_half_a_file_is_refused_where_its_length_is_stated(tmp_path, name):
    suffix, _, _, _, rate_hz = SOUND_FORMATS[name]
    if name == "w64":
        pytest.skip("FFmpeg takes the length of w64 from the file's size")
    path = encode_sound(tmp_path / f"a{suffix}", name, speech_like(2.0, rate_hz))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, "cut short")


@pytest.mark.parametrize("name", SOUND_FORMATS)
def test_any_cut_gives_sound_or_a_sentence(tmp_path, name):
    """Law: however short a file is cut, the answer is an `Audio` no longer than the whole, or an `InputError`."""
    suffix, _, _, _, rate_hz = SOUND_FORMATS[name]
    path = encode_sound(tmp_path / f"a{suffix}", name, speech_like(0.6, rate_hz))
    data = path.read_bytes()
    for size in sorted({*np.linspace(1, len(data) - 1, 23).astype(int).tolist(), 44, 12}):
        path.write_bytes(data[:size])
        try:
            assert 0 < load_audio(path).duration_seconds < 0.75
        except InputError:
            continue


@pytest.mark.parametrize("name", SOUND_FORMATS)
def test_damage_inside_gives_sound_or_a_sentence(tmp_path, name):
    suffix, _, _, _, rate_hz = SOUND_FORMATS[name]
    path = encode_sound(tmp_path / f"a{suffix}", name, speech_like(0.6, rate_hz))
    data = np.frombuffer(path.read_bytes(), np.uint8)
    for seed in range(6):
        generator = np.random.default_rng(seed)
        broken = data.copy()
        broken[generator.integers(0, len(data), 1 + len(data) // 200)] ^= 0x5A
        path.write_bytes(broken.tobytes())
        try:
            samples = load_audio(path).samples
        except InputError:
            continue
        assert np.isfinite(samples).all() and np.abs(samples).max() <= 1.0


def test_little_missing_is_no_reason(tmp_path):
    path = write_wav(tmp_path / "a.wav", speech_like(2.0, SAMPLE_RATE_HZ)[:, 0])
    path.write_bytes(path.read_bytes()[:-1001])
    assert 1.9 < load_audio(path).duration_seconds < 2.0


def with_data_size(path: Path, size: int) -> Path:
    """The WAV file with another length in its header; its samples stay."""
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + struct.pack("<I", size) + data[at + 4 :])
    return path


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFF0, 0xFFFFFFFF])
def test_a_wav_may_leave_its_length_open(tmp_path, size):
    """What arecord, SoX, FFmpeg and others put there when they write into a pipe."""
    sound = speech_like(0.5, SAMPLE_RATE_HZ)[:, 0]
    assert len(load_audio(with_data_size(write_wav(tmp_path / "a.wav", sound), size)).samples) == len(sound)


def test_a_cut_wav_says_how_long_it_should_be(tmp_path):
    path = write_wav(tmp_path / "a.wav", speech_like(0.5, SAMPLE_RATE_HZ)[:, 0])
    refused(with_data_size(path, 1 << 30), "33554.4 s announced, 0.5 s there")


def test_cut_ogg_is_noted(tmp_path):
    path = encode_sound(tmp_path / "a.ogg", "opus", speech_like(4.0, 48_000))
    assert not load_audio(path).notes
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert any("no end mark" in note for note in load_audio(path).notes)


def test_files_that_name_others_open_nothing(tmp_path):
    """Playlists and scripts may point at the network or at private files; not one connection, not one file."""
    write_wav(tmp_path / "secret.wav", speech_like(0.5, SAMPLE_RATE_HZ)[:, 0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        bait = {
            "net.wav": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
            "near.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n",
            "concat.wav": "ffconcat version 1.0\nfile 'secret.wav'\n",
            "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        }
        for name, text in bait.items():
            (tmp_path / name).write_text(text)
            refused(tmp_path / name)
        refused(url, "does not exist")
        refused(f"concat:{tmp_path / 'secret.wav'}|{tmp_path / 'secret.wav'}", "does not exist")
        with pytest.raises(TimeoutError):
            server.accept()


def test_write_wav_refusals_leave_nothing(tmp_path):
    sound = np.zeros(640, np.float32)
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    device = Path("/dev/full")
    devices = [device] if device.exists() else []
    for target in (tmp_path / "folder.wav", tmp_path / "no" / "a.wav", tmp_path / "file" / "a.wav", *devices):
        with pytest.raises(OutputError) as caught:
            write_wav(target, sound)
        assert caught.value.advice
    assert sorted(tmp_path.rglob("*")) == before
    assert all(stat.S_ISCHR(device.stat().st_mode) for device in devices)
