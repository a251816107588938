"""What every test may use. Without a browser its tests are skipped, unless LETSTALK_REQUIRE_BROWSER=1."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def same_numbers_every_run() -> None:
    """Tests that draw from torch's global stream see the same numbers each time, whatever ran before them."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from a second thread, and next to other work its barriers cost tenfold."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of Debian's chromium (or Chrome); fails instead of skipping where browser tests are required."""
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        if os.environ.get("LETSTALK_REQUIRE_BROWSER") == "1":
            pytest.fail("LETSTALK_REQUIRE_BROWSER=1, but no chromium is installed")
        pytest.skip("no chromium on this machine")
    return path


@pytest.fixture
def page(chromium_path: str) -> Iterator[object]:
    """A page in a fresh headless browser that talks to nobody but this machine."""
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *quiet]
        )
        yield browser.new_page()
        browser.close()


@pytest.fixture
def speech_like() -> np.ndarray:
    """2.4 s of a buzz that opens and closes like speech, with a silent second half-second. Float32 mono 16 kHz."""
    time_seconds = np.arange(int(2.4 * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time_seconds) / k for k in range(1, 12))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time_seconds), 0, 1) * ((time_seconds < 0.5) | (time_seconds > 1.0))
    return (0.2 * buzz * envelope).astype(np.float32)
