"""The fusion schemes, trained small and alike: three for the portrait with direct audio, three for the audio with the
symbiotic portrait; five models, because the two rows of the table share one.

They share one frozen audio encoder, so that what differs is the fusion alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from letstalk.errors import SettingsError
from letstalk.runtime import CancelToken
from letstalk.training.talker import TalkerTrainer
from letstalk.training.talker_settings import TalkerTraining

# (portrait fusion, audio fusion)
FUSION_SCHEMES: tuple[tuple[str, str], ...] = (
    ("symbiotic", "direct"),
    ("siamese", "direct"),
    ("direct", "direct"),
    ("symbiotic", "siamese"),
    ("symbiotic", "symbiotic"),
)
RESULT_NAME = "figures.json"


def scheme_name(portrait_fusion: str, audio_fusion: str) -> str:
    return f"{portrait_fusion}-{audio_fusion}"


def train_fusions(base: TalkerTraining, cancel: CancelToken | None = None) -> Iterator[tuple[str, dict[str, float]]]:
    """Trains what is not finished yet, each for its share of the minutes (or for all the steps); yields name and
    figures of every model. A stopped study goes on where it was.
    """
    if not base.freeze_audio:
        raise SettingsError("The models of the study share one audio encoder.", "Give --audio-init and freeze it.")
    for portrait_fusion, audio_fusion in FUSION_SCHEMES:
        name = scheme_name(portrait_fusion, audio_fusion)
        out = base.out / name
        done = out / RESULT_NAME
        if not done.is_file():
            minutes = None if base.minutes is None else base.minutes / len(FUSION_SCHEMES)
            settings = replace(
                base, out=out, size="fusion", portrait_fusion=portrait_fusion, audio_fusion=audio_fusion,
                minutes=minutes, resume=(out / "state").is_dir(),
            )  # fmt: skip
            trainer = TalkerTrainer(settings)
            figures = trainer.run(cancel)
            if trainer.clock.progress < 1:  # stopped, or at the end of its slice
                return
            done.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        yield name, json.loads(done.read_text(encoding="utf-8"))
