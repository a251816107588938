"""The laws of the writer: one timeline, equal ends, the same packets in the MP4 and in the segments."""

import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import encode_sound, speech_like

from letstalk.media.audio import load_audio, write_wav
from letstalk.media.hls import TS_PACKET_BYTES, SegmentPlan
from letstalk.media.jobs import JobFolder
from letstalk.media.video import VideoResult, VideoSettings, VideoWriter
from letstalk.media.video_reader import VideoReader, read_video
from letstalk.types import FPS, SAMPLES_PER_FRAME, num_frames_for_samples

FRAME_SECONDS = 1 / FPS
# 12 lengths in samples from 0.04 s to 10 s, whole frames and not.
LENGTHS = [640, 641, 1280, 5000, 7 * 640, 8 * 640, 8 * 640 + 1, 33 * 640, 34 * 640 - 1, 50_001, 5 * 16_000, 10 * 16_000]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LETSTALK_CACHE", str(folder))
    return folder


def pictures(num_frames: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Frame i carries its number in the brightness of the left half."""
    frames = np.full((num_frames, height, width, 3), 128, np.uint8)
    frames[:, :, : width // 2] = (40 + 5 * (np.arange(num_frames) % 40)).astype(np.uint8)[:, None, None, None]
    return frames


def number_of(frame: np.ndarray) -> int:
    return round((float(frame[8:-8, 8 : frame.shape[1] // 2 - 8].mean()) - 40) / 5)


def write_all(target: Path | None, samples: np.ndarray, block: int = 16, **options) -> VideoResult:
    frames = pictures(num_frames_for_samples(len(samples)))
    with VideoWriter(target, frames.shape[1:3], **options) as writer:
        for start in range(0, len(frames), block):
            writer.write(frames[start : start + block], samples[start * 640 : (start + block) * 640])
        return writer.finish()


def presented(path: Path, kind: str) -> tuple[float, float]:
    """First and last instant of a track on its presented timestamps: what lies before 0 is cut by the edit list."""
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        # A stream of very few packets leaves the demuxer without an idea of how long one lasts.
        usual = Fraction(1024, stream.codec_context.sample_rate) if kind == "audio" else Fraction(1, FPS)
        packets = [(p.pts * p.time_base, p.duration * p.time_base or usual) for p in container.demux(stream) if p.size]
    return float(max(0, min(start for start, _ in packets))), float(max(start + length for start, length in packets))


def encoder_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "encoder" in thread.name]


@pytest.mark.parametrize("num_samples", LENGTHS)
@pytest.mark.parametrize("source", [None, (16_000, 1), (44_100, 2), (96_000, 2), (8_000, 1)])
def test_tracks_start_and_end_together(tmp_path, num_samples, source):
    samples = speech_like(num_samples / 16_000, 16_000)[:, 0]
    path = None
    if source:
        rate_hz, channels = source
        path = write_wav(tmp_path / "own.wav", speech_like(num_samples / 16_000, rate_hz, channels), rate_hz)
    with JobFolder.create(tmp_path / "jobs") as job:
        settings = VideoSettings(hls=True)
        result = write_all(tmp_path / "out.mp4", samples, audio_source=path, settings=settings, job=job)
        num_frames = num_frames_for_samples(num_samples)
        (v_start, v_end), (a_start, a_end) = presented(result.path, "video"), presented(result.path, "audio")
        assert v_start == a_start == 0 and v_end == pytest.approx(num_frames / FPS)
        assert abs(a_end - v_end) < 1e-3 and a_end >= num_samples / 16_000 - 1e-3
        if num_frames > 2:  # FFmpeg's demuxer does not recognise a stream of one or two AAC packets as sound
            # The stream cannot trim inside a packet, and still keeps within one frame.
            together = tmp_path / "all.ts"
            together.write_bytes(b"".join(segment.path.read_bytes() for segment in result.segments))
            (v_start, _), (a_start, a_end) = presented(together, "video"), presented(together, "audio")
            assert v_start == a_start == 0 and abs(a_end - num_frames / FPS) < FRAME_SECONDS
        assert sum(segment.duration_seconds for segment in result.segments) == pytest.approx(num_frames / FPS)
    with VideoReader(result.path) as reader:
        assert [number_of(frame) for frame in reader.frames()] == [i % 40 for i in range(num_frames)]
        assert len(reader.audio().samples) == pytest.approx(num_frames * 640, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(1, 65))
def test_every_block_length_gives_the_same_video(tmp_path, block):
    samples = speech_like(5.21, 16_000)[:, 0]
    whole = write_all(tmp_path / "whole.mp4", samples, block=10**6)
    cut = write_all(tmp_path / "cut.mp4", samples, block=block)
    assert cut.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("block", [1, 3, 7, 16, 33])
def test_blocks_do_not_change_the_video(tmp_path, block):
    samples = speech_like(1.61, 16_000)[:, 0]
    whole = write_all(tmp_path / "whole.mp4", samples, block=10**6)
    cut = write_all(tmp_path / "cut.mp4", samples, block=block)
    assert cut.path.read_bytes() == whole.path.read_bytes()


def test_segments_are_the_mp4_cut_in_pieces(tmp_path):
    samples = speech_like(3.3, 16_000)[:, 0]
    with JobFolder.create(tmp_path / "jobs") as job:
        result = write_all(tmp_path / "out.mp4", samples, settings=VideoSettings(hls=True), job=job)
        film = np.stack(list(VideoReader(result.path).frames()))
        shown = []
        for segment in result.segments:
            frames, _ = read_video(segment.path)  # each decodes alone
            assert len(frames) == segment.num_frames
            shown.append(frames)
        np.testing.assert_array_equal(np.concatenate(shown), film)
        together = tmp_path / "all.ts"
        together.write_bytes(b"".join(segment.path.read_bytes() for segment in result.segments))
        for kind, step in (("video", 1 / 25), ("audio", 1024 / 48_000)):
            with av.open(str(together)) as container:
                times = [float(p.pts * p.time_base) for p in container.demux(container.streams.best(kind)) if p.size]
            np.testing.assert_allclose(np.diff(times), step, atol=2e-5)
        heard = load_audio(together).samples[1024:48_000]  # the first packet fades in
        np.testing.assert_allclose(heard, load_audio(result.path).samples[1024 : 1024 + len(heard)], atol=2e-3)
        assert_counters_run_on(together.read_bytes())
        assert_playlist(result)


def assert_counters_run_on(data: bytes) -> None:
    """Each stream's 4-bit counter grows by one with every payload, over all segments."""
    last: dict[int, int] = {}
    for at in range(0, len(data), TS_PACKET_BYTES):
        assert data[at] == 0x47
        stream, counter, has_payload = (data[at + 1] & 0x1F) << 8 | data[at + 2], data[at + 3] & 15, data[at + 3] & 16
        if stream in last:
            assert counter == (last[stream] + bool(has_payload)) % 16, (stream, at)
        last[stream] = counter
    assert len(last) >= 4  # two tables and two tracks


def assert_playlist(result: VideoResult) -> None:
    lines = result.playlist.read_text().splitlines()
    assert lines[0] == "#EXTM3U" and lines[-1] == "#EXT-X-ENDLIST" and "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    target = int(next(line for line in lines if "TARGETDURATION" in line).split(":")[1])
    durations = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    assert [line for line in lines if line.endswith(".ts")] == [segment.path.name for segment in result.segments]
    assert durations == [pytest.approx(segment.duration_seconds) for segment in result.segments]
    assert max(durations) <= target


def wait_for(condition, seconds: float = 10.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.002)
    raise AssertionError("nothing came")


@pytest.mark.parametrize("rate_hz", [None, 16_000, 22_050, 44_100])
def test_first_segment_closes_early_and_segments_come_whole(tmp_path, rate_hz):
    frames, samples = pictures(60), speech_like(2.4, 16_000)[:, 0]
    source = write_wav(tmp_path / "own.wav", speech_like(2.4, rate_hz), rate_hz) if rate_hz else None
    with JobFolder.create(tmp_path / "jobs") as job:
        with VideoWriter(None, (64, 64), VideoSettings(hls=True), source, job) as writer:
            writer.write(frames[:15], samples[: 15 * 640])  # 0.6 s, and nothing after it
            first = wait_for(writer.closed_segments)
            assert [segment.index for segment in first] == [0]
            data = first[0].path.read_bytes()
            assert first[0].path.name in (job.path / "index.m3u8").read_text()
            writer.write(frames[15:], samples[15 * 640 :])
            result = writer.finish()
            rest = writer.closed_segments()
            assert [segment.index for segment in rest] == list(range(1, len(result.segments)))
            assert first[0].path.read_bytes() == data
        assert result.path == job.path / "video.mp4" and presented(result.path, "video")[1] == pytest.approx(2.4)
    assert not list((tmp_path / "jobs").iterdir())


def test_own_segment_lengths(tmp_path):
    settings = VideoSettings(hls=True, segments=SegmentPlan(first_frames=5, later_frames=10))
    with JobFolder.create(tmp_path) as job:
        result = write_all(None, np.zeros(27 * 640, np.float32), settings=settings, job=job)
    assert [(s.first_frame, s.num_frames) for s in result.segments] == [(0, 5), (5, 10), (15, 10), (25, 2)]


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels"), [("wav24", 48_000, 2), ("mp3", 44_100, 2), ("wav8", 22_050, 1)]
)
def test_own_sound_keeps_rate_channels_and_place(tmp_path, name, rate_hz, channels):
    own = speech_like(2.0, rate_hz, channels)
    if channels == 2:
        own[:, 1] *= 0.25  # the sides differ, so a mono mix would be noticed
    path = encode_sound(tmp_path / "own.bin", name, own)
    audio = load_audio(path)
    result = write_all(tmp_path / "out.mp4", audio.samples, audio_source=audio.source)
    with av.open(str(result.path)) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.layout.nb_channels) == ("aac", rate_hz, channels)
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    if channels == 2:
        assert np.sqrt(np.mean(heard[1] ** 2) / np.mean(heard[0] ** 2)) == pytest.approx(0.25, rel=0.1)
    # In step with what the model heard: the MP4's sound, read back, lies on the speech.
    back = load_audio(result.path).samples[: len(audio.samples)]
    wanted = audio.samples[: len(back)]
    assert np.dot(back, wanted) / np.sqrt(np.dot(back, back) * np.dot(wanted, wanted)) > 0.98


@pytest.mark.parametrize(
    ("layout", "kept"), [("5.1", "5.1"), ("5.1(side)", "5.1"), ("quad", "stereo"), ("2.1", "stereo")]
)
def test_surround_sound_is_kept_where_aac_has_it(tmp_path, layout, kept):
    path = tmp_path / "own.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=48_000, layout=layout)
        values = np.full((1, stream.layout.nb_channels * 48_000), 6000, np.int16)
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout=layout)
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = load_audio(path)
    result = write_all(tmp_path / "out.mp4", audio.samples, audio_source=path)
    with av.open(str(result.path)) as container:
        assert container.streams.audio[0].codec_context.layout.name == kept
        assert presented(result.path, "audio")[1] == pytest.approx(1.0)


def test_own_sound_is_cut_at_a_stop_and_filled_at_its_end(tmp_path):
    path = write_wav(tmp_path / "own.wav", np.full((32_000, 2), 0.5, np.float32), 16_000)
    frames, samples = pictures(100), np.zeros(64_000, np.float32)
    for num_frames in (10, 100):  # the source lasts 50 frames
        target = tmp_path / f"{num_frames}.mp4"
        with VideoWriter(target, (64, 64), audio_source=path) as writer:
            writer.write(frames[:num_frames], samples[: num_frames * 640])
            writer.finish()
        heard = load_audio(target).samples
        assert presented(target, "audio")[1] == pytest.approx(num_frames / FPS)
        assert np.abs(heard[2000 : min(num_frames, 48) * 640 - 2000] - 0.5).max() < 0.05
        assert num_frames < 50 or np.abs(heard[52 * 640 :]).max() < 0.05


def test_colours_survive_and_are_tagged(tmp_path):
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [224, 172, 140], [60, 40, 30]]
    )
    frames = np.zeros((10, 64, 64 * len(colours), 3), np.uint8)
    for i, colour in enumerate(colours):
        frames[:, :, 64 * i : 64 * i + 64] = colour
    with VideoWriter(tmp_path / "c.mp4", frames.shape[1:3]) as writer:
        writer.write(frames, np.zeros(6400, np.float32))
        writer.finish()
    read, _ = read_video(tmp_path / "c.mp4")
    for i, colour in enumerate(colours):
        assert np.abs(read[-1][16:48, 64 * i + 16 : 64 * i + 48].astype(int) - colour).max() <= 3, colour
    with av.open(str(tmp_path / "c.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert context.pix_fmt == "yuv420p" and not context.has_b_frames


@pytest.mark.parametrize(("height", "width"), [(65, 64), (64, 67), (33, 31), (2, 2), (3, 2)])
def test_odd_sizes_grow_by_a_repeated_edge(tmp_path, height, width):
    frames = np.full((3, height, width, 3), 90, np.uint8)
    with VideoWriter(tmp_path / "o.mp4", (height, width)) as writer:
        writer.write(frames, np.zeros(3 * SAMPLES_PER_FRAME, np.float32))
        result = writer.finish()
    read, _ = read_video(result.path)
    assert read.shape == (3, height + height % 2, width + width % 2, 3) and np.abs(read.astype(int) - 90).max() <= 2
    assert bool(result.notes) == bool(height % 2 or width % 2)


def test_index_comes_first_and_metadata_is_there(tmp_path):
    metadata = {"title": "A title", "comment": "Made by a model; 中文"}
    result = write_all(tmp_path / "m.mp4", np.zeros(6400, np.float32), settings=VideoSettings(metadata=metadata))
    data = result.path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with VideoReader(result.path) as reader:
        assert metadata.items() <= reader.metadata.items()


def test_caller_may_reuse_its_arrays(tmp_path):
    frame, samples = np.zeros((1, 64, 64, 3), np.uint8), np.zeros(640, np.float32)
    with VideoWriter(tmp_path / "r.mp4", (64, 64)) as writer:
        for i in range(40):
            frame[:] = 40 + 5 * i
            writer.write(frame, samples)
            frame[:] = 255
        writer.finish()
    with VideoReader(tmp_path / "r.mp4") as reader:
        assert [number_of(picture) for picture in reader.frames()] == list(range(40))


def test_sound_out_of_range_is_written(tmp_path):
    wild = np.array([np.nan, np.inf, -np.inf, 1e30, 7.0] * 1280, np.float32)
    result = write_all(tmp_path / "w.mp4", wild)
    assert np.isfinite(load_audio(result.path).samples).all()


def test_many_writers_at_once_stay_apart(tmp_path):
    def work(k: int) -> None:
        frames = np.full((50, 64, 64, 3), 40 + 20 * k, np.uint8)
        with VideoWriter(tmp_path / f"{k}.mp4", (64, 64)) as writer:
            writer.write(frames, np.zeros(50 * 640, np.float32))
            writer.finish()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(5):
        frames, _ = read_video(tmp_path / f"{k}.mp4")
        assert len(frames) == 50 and abs(float(frames.mean()) - (40 + 20 * k)) < 2
    assert not encoder_threads()


@pytest.mark.slow
def test_an_hour_ends_together_in_constant_memory(tmp_path):
    import psutil

    num_frames, block = 90_000, 50
    frames, samples = pictures(block), speech_like(2.0, 16_000)[:, 0]
    own = write_wav(tmp_path / "own.wav", np.tile(speech_like(10, 44_100, 2), (360, 1)), 44_100)
    process, memory = psutil.Process(), []
    with JobFolder.create(tmp_path / "jobs") as job:
        settings = VideoSettings(hls=True)
        with VideoWriter(tmp_path / "hour.mp4", (64, 64), settings, audio_source=own, job=job) as writer:
            for _ in range(num_frames // block):
                writer.write(frames, samples)
                writer.closed_segments()
                memory.append(process.memory_info().rss)
            result = writer.finish()
            memory.append(process.memory_info().rss)
        assert sum(segment.num_frames for segment in result.segments) == num_frames
    assert max(memory) - memory[20] < 100e6
    (v_start, v_end), (a_start, a_end) = presented(result.path, "video"), presented(result.path, "audio")
    assert v_start == a_start == 0 and v_end == pytest.approx(3600) and abs(a_end - v_end) < FRAME_SECONDS
