"""What only trained weights can show. Skipped while none ship."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.engine.find import PIPELINE_FILE
from letstalk.media.audio import load_audio
from letstalk.runtime import resource_dir

MINI = resource_dir("weights") / "mini"


@pytest.mark.slow
@pytest.mark.skipif(not (MINI / PIPELINE_FILE).is_file(), reason="there are no trained weights here")
def test_motion_strength_scales_motion() -> None:
    """The head's turning, read from the pixels, grows with every notch of the slider."""
    from letstalk.pipeline import LetsTalkPipeline
    from letstalk.reader.predict import FaceReader

    pipeline, reader, assets = LetsTalkPipeline.from_pretrained(MINI), FaceReader.load(), resource_dir("assets")
    speech = load_audio(assets / "speech" / "en-story.flac", max_seconds=6)
    spreads = []
    for strength in (0.2, 1.0, 2.0):
        video = pipeline(assets / "portraits" / "grace.png", speech, motion_strength=strength)
        spreads.append(float(np.linalg.norm(reader.read(video.frames).head_rotation.std(axis=0))))
    assert spreads[0] < 0.8 * spreads[1] < 0.8 * spreads[2], spreads
