"""A finished video in a real browser: it loads, it plays, and its length is what was written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from letstalk.media.video import VideoWriter
from letstalk.types import SAMPLES_PER_FRAME

NUM_FRAMES = 50


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served_folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
def test_the_finished_video_plays_to_its_end(page: Any, served_folder: tuple[Path, str]) -> None:
    folder, url = served_folder
    ramp = np.linspace(0, 255, NUM_FRAMES).astype(np.uint8)
    frames = np.ascontiguousarray(np.broadcast_to(ramp[:, None, None, None], (NUM_FRAMES, 128, 96, 3)))
    tone = (0.1 * np.sin(np.arange(NUM_FRAMES * SAMPLES_PER_FRAME) / 10)).astype(np.float32)
    with VideoWriter(folder / "out.mp4", (128, 96)) as writer:
        writer.write(frames, tone)
        writer.finish()

    (folder / "page.html").write_text("<video id=v src=out.mp4 muted></video>")
    page.goto(f"{url}/page.html")
    page.wait_for_function("document.getElementById('v').readyState >= 3")
    facts = page.evaluate(
        "(() => {const v = document.getElementById('v'); return [v.videoWidth, v.videoHeight, v.duration]})()"
    )
    assert facts[:2] == [96, 128]
    assert facts[2] == pytest.approx(NUM_FRAMES / 25, abs=0.04)

    page.evaluate("document.getElementById('v').play()")
    page.wait_for_function("document.getElementById('v').ended", timeout=15_000)
    quality = "document.getElementById('v').getVideoPlaybackQuality()"
    assert page.evaluate(f"{quality}.totalVideoFrames") >= NUM_FRAMES - 2
    assert page.evaluate("document.getElementById('v').webkitAudioDecodedByteCount") > 0
