import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import SOUND_FORMATS, encode_pictures, encode_sound, speech_like

from letstalk.errors import InputError
from letstalk.media.video_reader import VideoReader, read_video


def level(frame: np.ndarray) -> int:
    return round((float(frame[8:24, 8:24].mean()) - 20) / 7)


def encode(path: Path, times: list[int], sound_at: int | None = None, bframes: int = 2, rate: int = 25) -> Path:
    """Picture i has brightness 20 + 7 i and is shown from `times[i]` ms; a 0.5 s tone may start at `sound_at` ms."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "5", "bf": str(bframes), "g": "12"})
        video.width = video.height = 64
        video.pix_fmt, video.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono") if sound_at is not None else None
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 7 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(np.full((1, 8000), 8192, np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.pts = 16_000, sound_at * 16
            container.mux(audio.encode(sound))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("bframes", [0, 3])
def test_every_frame_by_order_and_by_number(tmp_path, suffix, bframes):
    path = encode(tmp_path / f"a{suffix}", [40 * i for i in range(30)], bframes=bframes)
    with VideoReader(path) as reader:
        assert reader.num_frames == 30 and reader.size == (64, 64) and reader.fps == 25
        assert [level(frame) for frame in reader.frames()] == list(range(30))
        for index in (17, 3, 29, 0, 12, 11, 13):
            assert level(reader.frame(index)) == index
            assert [level(frame) for frame in reader.frames(index)] == list(range(index, 30))
        for index in (-1, 30):
            with pytest.raises(IndexError):
                reader.frame(index)


@pytest.mark.parametrize("rate", [10, 24, 30, 50, 60])
def test_other_rates_show_what_a_player_shows(tmp_path, rate):
    times = [round(1000 * i / rate) for i in range(min(rate, 30))]
    path = encode(tmp_path / "a.mkv", times, bframes=0, rate=rate)
    with VideoReader(path) as reader:
        shown = [level(frame) for frame in reader.frames()]
    due = [max(i for i, time in enumerate(times) if time <= 40 * n + 2) for n in range(len(shown))]
    assert shown == due and abs(len(shown) / 25 - len(times) / rate) <= 0.05
    with VideoReader(path, fps=None) as reader:
        assert len(list(reader.frames())) == pytest.approx(len(times), abs=1)


def test_uneven_timestamps(tmp_path):
    path = encode(tmp_path / "a.mkv", [0, 40, 200, 210, 400], bframes=0)
    with VideoReader(path) as reader:
        shown = [level(frame) for frame in reader.frames()]
        assert shown[:11] == [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4]
        assert [level(reader.frame(i)) for i in range(reader.num_frames)] == shown


@pytest.mark.parametrize("sound_at", [0, 200])
@pytest.mark.parametrize("pictures_at", [0, 160])
def test_sound_lies_on_the_pictures(tmp_path, sound_at, pictures_at):
    path = encode(tmp_path / "a.mkv", [pictures_at + 40 * i for i in range(25)], sound_at, bframes=0)
    with VideoReader(path) as reader:
        samples = reader.audio().samples
    starts = 16 * (sound_at - pictures_at)
    assert len(samples) == 8000 + starts
    heard = np.flatnonzero(samples > 0.1)
    assert (heard[0], heard[-1]) == (max(0, starts), 7999 + starts)


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
def test_phone_videos_come_upright(tmp_path, matrix, turns):
    """The same picture, with and without the turn that a phone writes into the track header."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = (200, 60, 60)
    picture[32:, 48:] = (60, 60, 200)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "5"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of times, number and duration
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frames, _ = read_video(path)
    wanted = np.rot90(picture, turns)
    assert frames[0].shape == wanted.shape and np.abs(frames[0].astype(int) - wanted).mean() < 6


@pytest.mark.parametrize(("size", "space"), [((64, 64), 5), ((64, 64), 1), ((736, 736), 1)])
def test_colours_follow_the_tag_or_the_size(tmp_path, size, space):
    """A picture converted by the matrix that a player assumes comes back as it was; with size 736 nothing is tagged."""
    colour = np.array([200, 80, 40], np.uint8)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "5"})
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        if size[0] < 720:
            video.codec_context.colorspace = space
        frame = av.VideoFrame.from_ndarray(np.broadcast_to(colour, (*size, 3)).copy(), format="rgb24")
        options = {"src_colorspace": space, "dst_colorspace": space, "src_color_range": 2, "dst_color_range": 1}
        frame = frame.reformat(format="yuv420p", **options)
        if size[0] >= 720:
            frame.colorspace = 2
        container.mux(video.encode(frame))
        container.mux(video.encode(None))
    frames, sound = read_video(path)
    assert sound is None and np.abs(frames[0].astype(int) - colour).max() <= 3


def test_refusals(tmp_path):
    (tmp_path / "text.mp4").write_text("not a film")
    sound = encode_sound(tmp_path / "s.wav", "wav16", speech_like(0.5, SOUND_FORMATS["wav16"][4]))
    film = encode_pictures(tmp_path / "film.mp4", 50)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[:500])
    cases = {
        tmp_path: "folder",
        tmp_path / "no.mp4": "exist",
        tmp_path / "text.mp4": "not a video",
        sound: "no pictures",
    }
    cases[cut] = "cut short"
    for path, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            VideoReader(path)
        assert caught.value.advice
    with pytest.raises(InputError, match="50 frames"):
        read_video(film, max_frames=49)


def test_broken_end_gives_what_is_there(tmp_path):
    path = encode(tmp_path / "a.ts", [40 * i for i in range(30)], bframes=0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with VideoReader(path) as reader:
        shown = [level(frame) for frame in reader.frames()]
    assert 10 < len(shown) < 30 and shown[:10] == list(range(10))


def test_a_size_that_changes_on_the_way(tmp_path):
    """Two H.264 streams one after the other, as a call recorded by a browser holds them."""
    data = b""
    for size, name in ((64, "a.ts"), (96, "b.ts")):
        data += encode_pictures(tmp_path / name, 10, size=size).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(data)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert {frame.shape for frame in frames} == {(64, 64, 3)} and len(frames) >= 10
