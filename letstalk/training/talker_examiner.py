"""Examines the talker during a run, always on the same held-out people: it speaks whole films, chunk after chunk, and
the autoencoder's own readings say what mouth, lids and head did. No picture is drawn for the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from letstalk.longform.losses import seam_jump
from letstalk.longform.plan import ChunkPlan
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.synthetic.visemes import VISEMES
from letstalk.training.codec_validation import correlation
from letstalk.training.latent_films import LatentFilm
from letstalk.training.readings import READING_NAMES
from letstalk.training.talk_losses import LatentReader
from letstalk.training.talk_sampling import ChunkMaker, SamplingSettings, seeded_noise, speak

GAP, LIDS = READING_NAMES.index("mouth_gap"), [READING_NAMES.index(name) for name in ("lid_left", "lid_right")]
HEAD = [READING_NAMES.index(name) for name in ("pitch", "yaw", "roll")]
SEALED = [place for place, viseme in enumerate(VISEMES) if viseme.seals_lips]
CLOSED_SHARE = 0.15  # of the film's 95th percentile: lips this close count as closed
LEAST_GAP_SPREAD = 0.01  # films whose true mouth moves less say nothing about correlation
MOST_LAG = 4  # frames


@dataclass(frozen=True)
class Spoken:
    """What the model made of N films of T frames from their calm stills."""

    latents: Tensor  # (N, T, C, h, w) normalised
    deltas: Tensor  # (N, T, C, h, w) as the transformer made them
    readings: Tensor  # (N, T, num_readings)


class TalkerExaminer:
    """Films are cut to the shortest of them, so that all are spoken in one batch."""

    def __init__(self, films: Sequence[LatentFilm], reader: LatentReader, device: torch.device) -> None:
        self.reader, self.device, self.films = reader, device, films
        self.num_frames = min(film.num_frames for film in films)
        stills = torch.stack([film.references[0, 0].float() for film in films])
        self.portrait = reader.normalise(stills.to(device))  # (N, C, h, w): the calm still of each film
        frames = torch.stack([film.latents[0, : self.num_frames].float() for film in films])
        with torch.no_grad():
            self.read = reader.readings(reader.normalise(frames.to(device))).cpu()  # (N, T, num_readings)

    @torch.no_grad()
    def speak(
        self, transformer: TalkingTransformer, encoder: AudioEncoder, memory_frames: int, chunk_frames: int,
        sampling: SamplingSettings, order: list[int] | None = None,
    ) -> Spoken:  # fmt: skip
        """All films at once; `order` gives film i the sound of another."""
        order = order or list(range(len(self.films)))
        samples = torch.stack([self.films[i].sound()[: 640 * self.num_frames] for i in order]).to(self.device)
        controls = None
        if transformer.controls is not None:
            names: tuple[str, ...] = transformer.config["control_names"]
            controls = torch.zeros(len(order), self.num_frames, len(names), device=self.device)
        maker = ChunkMaker(
            transformer, self.portrait, encoder(samples).float(),
            seeded_noise(list(range(len(order))), tuple(self.portrait.shape[1:])), sampling, controls,
        )  # fmt: skip
        deltas = speak(maker, self.num_frames, memory_frames, ChunkPlan(chunk_frames, min(8, chunk_frames)))
        latents = transformer.undo_deltas(deltas, self.portrait)
        return Spoken(latents, deltas, self.reader.readings(latents))

    def figures(self, spoken: Spoken, chunk_frames: int) -> dict[str, float]:
        """Against the truth of the renderer; `bound_r` is what the autoencoder reads from the true latents."""
        truth = torch.stack([film.readings[: self.num_frames] for film in self.films])
        read, made = self.read, spoken.readings.cpu()
        moving = [i for i in range(len(truth)) if float(truth[i, :, GAP].std()) > LEAST_GAP_SPREAD]
        pairs = [(made[i, :, GAP], truth[i, :, GAP], read[i, :, GAP]) for i in moving]
        others = [moving[k - 1] for k in range(len(moving))]
        lagged = {lag: _mean([_lagged(a, b, lag) for a, b, _ in pairs]) for lag in range(-MOST_LAG, MOST_LAG + 1)}
        return {
            "mouth_r": lagged[0],
            "mouth_best_lag": float(max(lagged, key=lambda lag: lagged[lag])),
            "mouth_r_shuffled": _mean([correlation(made[i, :, GAP], truth[j, :, GAP])
                                       for i, j in zip(moving, others, strict=True)]),
            "mouth_bound_r": _mean([correlation(c, b) for _, b, c in pairs]),
            "mouth_spread": _mean([float(a.std() / c.std().clamp_min(1e-6)) for a, _, c in pairs]),
            "lid_spread": _ratio(made[:, :, LIDS], read[:, :, LIDS]),
            "head_spread": _ratio(made[:, :, HEAD], read[:, :, HEAD]),
            **self._mouth_states(made[:, :, GAP], read[:, :, GAP]),
            "seam": _mean([float(seam_jump(spoken.deltas[:, k : k + chunk_frames], spoken.deltas[:, k - 1]).median())
                           for k in range(8, self.num_frames - chunk_frames + 1, chunk_frames)] or [0.0]),
            "norm_first": float(spoken.latents[:, :25].square().mean().sqrt()),
            "norm_last": float(spoken.latents[:, -25:].square().mean().sqrt()),
        }  # fmt: skip

    def _mouth_states(self, made: Tensor, read: Tensor) -> dict[str, float]:
        """The gap (N, T) in silence and at m b p, beside the same of the true latents."""
        silent = ~torch.stack([film.speaking[: self.num_frames] for film in self.films])
        silent = silent & _quiet_around(silent)
        sealed = torch.isin(torch.stack([film.viseme[: self.num_frames] for film in self.films]), torch.tensor(SEALED))
        opened = torch.quantile(made.flatten(), 0.95)
        opened_truly = torch.quantile(read.flatten(), 0.95)
        return {
            "silent_gap": _masked_mean(made, silent), "silent_gap_true": _masked_mean(read, silent),
            "silent_motion": _masked_mean(made.diff(dim=1).abs(), silent[:, 1:]),
            "silent_motion_true": _masked_mean(read.diff(dim=1).abs(), silent[:, 1:]),
            "sealed": _masked_mean((made < CLOSED_SHARE * opened).float(), sealed),
            "sealed_true": _masked_mean((read < CLOSED_SHARE * opened_truly).float(), sealed),
        }  # fmt: skip

    @torch.no_grad()
    def strip(self, spoken: Spoken, first: int, every: int, count: int, most_films: int = 4) -> list[Tensor]:
        """Columns of a sheet: portrait, then every so many frames of the truth above what the model made."""
        codec = self.reader.codec
        rows: list[list[Tensor]] = []
        for i, film in enumerate(self.films[:most_films]):
            picture = film.portrait[None].float().to(self.device) / 127.5 - 1
            guide = codec.encode_references(picture[:, None])
            chosen = slice(first, first + every * count, every)
            true = film.latents[0, chosen].float().to(self.device)
            for latents in (true, codec.denormalise(spoken.latents[i, chosen])):
                rows.append([picture, *codec.decode(latents, guide).pictures.split(1)])
        return [torch.cat(column) for column in zip(*rows, strict=True)]


def _lagged(made: Tensor, truth: Tensor, lag: int) -> float:
    """Correlation when what was made is `lag` frames late."""
    count = len(truth) - abs(lag)
    return correlation(made[max(lag, 0) : max(lag, 0) + count], truth[max(-lag, 0) : max(-lag, 0) + count])


def _quiet_around(silent: Tensor, reach: int = 4) -> Tensor:
    """(N, T) true where `reach` frames on both sides are silent too: lips open before a word and close after it."""
    padded = torch.nn.functional.pad(silent.float(), (reach, reach), value=1.0)[:, None]
    return -torch.nn.functional.max_pool1d(-padded, 2 * reach + 1, stride=1)[:, 0] > 0.5


def _ratio(made: Tensor, truth: Tensor) -> float:
    """Spread of (N, T, K) over time, made against true, over all films together."""
    return float(made.std(dim=1).mean() / truth.std(dim=1).mean().clamp_min(1e-6))


def _masked_mean(values: Tensor, mask: Tensor) -> float:
    return float(values[mask].mean()) if bool(mask.any()) else 0.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
