"""Clips from their specs alone: same bytes each time, one performance for all, labels that fit the pictures."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import MissingAssetError
from letstalk.synthetic.controls import NUM_LANDMARKS
from letstalk.synthetic.data.clip_renderer import Clip, ClipLabels, render_clip
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, Role, SpeechSpec, clip_spec
from letstalk.synthetic.pictures.regions import REGION_CODE
from letstalk.synthetic.voice.voices import is_installed, voice_named

SPEC = ClipSpec(
    split="train", index=0, kind="random", performance_seed=11, num_frames=6, size=64, procedural=True,
    roles=(Role(4, 100, "photo"), Role(7, 200, "toon")),
)  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render_clip(SPEC)


def digest(clip: Clip) -> str:
    parts = [clip.frames, clip.speech.samples, *clip.labels.arrays().values()]
    parts += [array for motion in clip.motion for array in motion.packed.values()]
    parts += [getattr(clip.performance, item.name) for item in fields(clip.performance)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def test_shapes(clip: Clip) -> None:
    assert clip.frames.shape == (2, 6, 64, 64, 3) and clip.frames.dtype == np.uint8
    assert clip.labels.landmarks.shape == (2, 6, NUM_LANDMARKS, 2)
    assert clip.labels.regions.shape == clip.labels.cover.shape == (2, 6, 64, 64)
    assert clip.labels.mouth_box.shape == (2, 6, 4)
    assert clip.speech.samples.shape == (6 * 640,)
    assert clip.performance.num_frames == 6 and (clip.num_people, clip.num_frames) == (2, 6)
    for item in fields(ClipLabels):
        values = getattr(clip.labels, item.name)
        assert values.shape[:2] == (2, 6), item.name
        assert np.isfinite(values.astype(np.float64)).all(), item.name


def test_the_same_spec_gives_the_same_bytes(clip: Clip) -> None:
    assert digest(render_clip(SPEC)) == digest(clip)
    assert digest(render_clip(replace(SPEC, performance_seed=12))) != digest(clip)


def test_another_process_gives_the_same_bytes(clip: Clip) -> None:
    code = "import test_clip_renderer as t; print(t.digest(t.render_clip(t.SPEC)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert done.stdout.strip() == digest(clip)


def test_who_was_rendered_before_does_not_matter(clip: Clip) -> None:
    from letstalk.synthetic.data.clip_renderer import ClipRenderer

    renderer = ClipRenderer(None)
    renderer.render(replace(SPEC, roles=(Role(7, 5, "photo"), Role(9, 6, "ink"))))
    assert digest(renderer.render(SPEC)) == digest(clip)


def test_one_performance_for_all_but_two_faces(clip: Clip) -> None:
    assert np.array_equal(clip.labels.viseme[0], clip.labels.viseme[1])
    assert np.array_equal(clip.labels.gaze[0], clip.labels.gaze[1])
    assert np.array_equal(clip.labels.lid_closure[0], clip.labels.lid_closure[1])
    assert not np.array_equal(clip.frames[0], clip.frames[1])
    # Each alone is what they are together: nobody's picture depends on who else plays.
    alone = render_clip(replace(SPEC, roles=SPEC.roles[1:]))
    assert np.array_equal(alone.frames[0], clip.frames[1])


def test_mouth_box_lies_on_the_lips(clip: Clip) -> None:
    for person in range(2):
        for frame in range(clip.num_frames):
            left, top, right, bottom = clip.labels.mouth_box[person, frame]
            lips = np.isin(clip.labels.regions[person, frame], [REGION_CODE["lips"], REGION_CODE["mouth"]])
            assert lips.any(), "a face without lips"
            assert lips[top:bottom, left:right].sum() >= 0.8 * lips.sum()


def test_flow_of_a_frame_to_itself_is_zero(clip: Clip) -> None:
    """Only slivers seen edge-on, narrower than a pixel, may be off."""
    flow, visible = clip.flow(0, 2, 2)
    assert np.percentile(np.abs(flow), 98) < 1e-3 and visible.mean() > 0.95


def test_flow_goes_where_the_landmarks_go(clip: Clip) -> None:
    target, reference = 0, 5
    landmarks, shown = clip.labels.landmarks[0], clip.labels.landmarks_visible[0]
    both = shown[target] & shown[reference]
    moved_px = (landmarks[reference] - landmarks[target])[both]
    columns, rows = np.round(landmarks[target][both]).astype(int).T  # a cell for each pixel at this size
    flow_px = clip.flow(0, target, reference)[0][rows, columns] * (clip.spec.size / 2)
    missed_px = np.linalg.norm(flow_px - moved_px, axis=1)
    assert both.sum() > 30 and np.percentile(missed_px, 90) < 0.05
    assert np.median(np.linalg.norm(moved_px, axis=1)) > 0.2, "nobody moves"


def test_clean_pictures_have_no_noise() -> None:
    """The background of a noisy clip changes from frame to frame, that of a clean one stands."""
    noisy = next(
        spec
        for seed in range(40)
        if _background_motion(spec := replace(SPEC, num_frames=2, roles=(Role(4, seed, "photo"),))) > 0
    )
    assert _background_motion(replace(noisy, clean=True)) == 0


def _background_motion(spec: ClipSpec) -> float:
    clip = render_clip(spec)
    still = (clip.labels.cover[0] == 0).all(axis=0)
    return float(np.abs(np.diff(clip.frames[0].astype(int), axis=0))[0][still].mean())


def test_idle_people_say_nothing() -> None:
    clip = render_clip(replace(SPEC, kind="idle", num_frames=4))
    assert not clip.speech.samples.any() and not clip.labels.speaking.any()
    assert clip.labels.mouth_gap.max() < 0.02


def test_speech_fills_the_clip_and_comes_from_its_split() -> None:
    if not is_installed(voice_named("flite:rms")):
        pytest.skip("flite is not installed")
    spec = replace(
        SPEC, split="test", kind="speech", num_frames=75, roles=SPEC.roles[:1], speech=SpeechSpec("flite:rms", 3, None)
    )
    clip = render_clip(spec)
    assert clip.speech.samples.shape == (75 * 640,) and np.abs(clip.speech.samples).max() > 0.05
    assert clip.speech.phones[-1].end_seconds == pytest.approx(3.0)
    assert clip.labels.speaking.any() and clip.labels.mouth_gap.max() > 0.05


def test_a_missing_voice_is_an_error_not_another_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    spec = replace(SPEC, kind="speech", speech=SpeechSpec("flite:slt", 3, None))
    with pytest.raises(MissingAssetError, match="flite"):
        render_clip(spec)


def test_every_planned_clip_can_be_rendered() -> None:
    settings = ClipSettings(size=64, num_frames=2, procedural=True, people_per_clip=(1, 3), stylised_share=0.5)
    kinds = set()
    for index in range(12):
        clip = render_clip(clip_spec(settings, "train", index))
        kinds.add(clip.spec.kind)
        assert clip.num_people == len(clip.spec.roles)
    assert kinds <= {"idle", "random"}
