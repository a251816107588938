from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""
