"""A video through the codec: what is written, what is said, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import InputError, OutputError
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.picture_quality import psnr_db
from letstalk.evaluation.recode import Recoding, recode
from letstalk.media.face import FaceFinder
from letstalk.media.image import save_image
from letstalk.media.video import VideoSettings, VideoWriter
from letstalk.media.video_reader import read_video
from letstalk.reader.detector import as_detector
from letstalk.reader.predict import FaceReader
from letstalk.synthetic.data.benchmark import BenchmarkClip

NUM_FRAMES = 20


@pytest.fixture(scope="module")
def finder(reader: FaceReader) -> FaceFinder:
    return FaceFinder(as_detector(reader))


@pytest.fixture(scope="module")
def folder(clips: list[BenchmarkClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """reference.png and talk.mp4 of one person, wide.mp4 with a rim on the left."""
    folder = tmp_path_factory.mktemp("recode")
    frames, samples = clips[0].frames()[40 : 40 + NUM_FRAMES], clips[0].samples()[: 640 * NUM_FRAMES]
    save_image(folder / "reference.png", frames[0])
    wide = np.pad(frames, ((0, 0), (0, 0), (64, 0), (0, 0)), mode="edge")
    for name, pictures in (("talk.mp4", frames), ("wide.mp4", wide)):
        with VideoWriter(folder / name, pictures.shape[1:3], VideoSettings(crf=12)) as writer:
            writer.write(pictures, samples)
            writer.finish()
    return folder


def wish(folder: Path, out: Path, **changes: object) -> Recoding:
    plain = Recoding(folder / "reference.png", folder / "talk.mp4", out, as_is=True)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_an_untrained_codec_shows_the_reference_with_the_videos_sound(
    untrained: Coder, finder: FaceFinder, folder: Path, tmp_path: Path
) -> None:
    result = recode(untrained, finder, wish(folder, tmp_path / "out.mp4"))
    frames, sound = read_video(result.path)
    source, source_sound = read_video(folder / "talk.mp4")
    reference, _ = read_video(folder / "talk.mp4", max_frames=NUM_FRAMES)
    assert result.num_frames == len(frames) == NUM_FRAMES
    assert result.psnr_db == pytest.approx(result.static_copy_db, abs=0.01)
    still = np.broadcast_to(reference[0], source.shape)
    assert result.static_copy_db == pytest.approx(psnr_db(still, source)[1:].mean(), abs=1.5)
    assert psnr_db(frames, still).min() > 34
    assert sound is not None and source_sound is not None
    shared = min(len(sound.samples), len(source_sound.samples))
    assert shared >= 640 * NUM_FRAMES * 0.95
    assert np.corrcoef(sound.samples[:shared], source_sound.samples[:shared])[0, 1] > 0.95


def test_a_driven_reference_has_no_truth_to_be_measured_against(
    stirred: Coder, finder: FaceFinder, folder: Path, tmp_path: Path
) -> None:
    driven = recode(stirred, finder, wish(folder, tmp_path / "driven.mp4", drive=True))
    assert np.isnan(driven.psnr_db) and driven.num_frames == NUM_FRAMES
    plain = recode(stirred, finder, wish(folder, tmp_path / "plain.mp4"))
    assert plain.psnr_db < plain.static_copy_db


def test_a_face_is_framed_once_for_all_frames(
    untrained: Coder, finder: FaceFinder, folder: Path, tmp_path: Path
) -> None:
    video = folder / "wide.mp4"
    with pytest.raises(InputError, match="not square"):
        recode(untrained, finder, wish(folder, tmp_path / "out.mp4", video=video))
    assert list(tmp_path.iterdir()) == []
    result = recode(untrained, finder, wish(folder, tmp_path / "out.mp4", video=video, as_is=False, size=128))
    frames, _ = read_video(result.path)
    assert frames.shape == (NUM_FRAMES, 128, 128, 3) and result.static_copy_db > 15


def test_an_input_is_never_written_over_and_an_unknown_size_is_refused(
    untrained: Coder, finder: FaceFinder, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="one of the inputs"):
        recode(untrained, finder, wish(folder, folder / "talk.mp4"))
    with pytest.raises(InputError, match="size 192"):
        recode(untrained, finder, wish(folder, tmp_path / "out.mp4", size=192))
