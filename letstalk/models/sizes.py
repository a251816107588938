"""Named sizes of the transformer: what differs from its defaults. `TalkingTransformer(**TRANSFORMERS["fusion"])`."""

from __future__ import annotations

from typing import Any

TRANSFORMERS: dict[str, dict[str, Any]] = {
    "mini": {},
    # For comparing the fusion schemes: each of the nine combinations has 1.1 to 2.3 M parameters, the five distinct
    # ones of the paper's tables (one condition at its default) at most 2 M.
    "fusion": {"width": 128, "depth": 4, "ffn_ratio": 1.25, "siamese_ratio": 0.5},
}
