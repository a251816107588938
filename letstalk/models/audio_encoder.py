"""Speech -> a few tokens for each video frame, whole or while it arrives.

Each frame's tokens are a function of a bounded window of sound round it (and of one carried loudness), computed without
padding. So it does not matter in which pieces the sound arrives: the pieces only decide when a frame is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from letstalk.models import mel
from letstalk.models.blocks import initialise
from letstalk.types import SAMPLES_PER_FRAME, num_frames_for_samples


@dataclass(frozen=True)
class AudioState:
    """What an encoder must remember between two pieces of one recording. Rows are batched, so they advance together."""

    samples: Tensor  # (B, n) float32: the past that the next frame sees, and sound whose frame is not complete
    loudness: Tensor  # (B,) dB below full scale, just before the first hop of `samples`

    def to_tensors(self) -> dict[str, Tensor]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        return cls(**{item.name: tensors[item.name] for item in fields(cls)})


class AudioEncoder(ModelMixin, ConfigMixin):
    """What all encoders share: the cutting of sound into windows. Sound is (B, n) float32 mono at 16 kHz in -1..1.

    A child sets the attributes below and gives `encode_window`. Silence is assumed before the first sample and, once
    the last piece is marked as final, after the last one.
    """

    config_name = "config.json"
    num_tokens: int  # N, for each frame
    token_width: int  # Da
    past_samples: int  # of the window, before its first frame
    future_samples: int  # of the window, after its last frame
    block_frames: int = 1  # frames are encoded in groups of this many, counted from the first of the recording

    @property
    def lookahead_samples(self) -> int:
        """A frame's tokens are ready once this much sound after its own end has arrived, at the latest."""
        return self.future_samples + (self.block_frames - 1) * SAMPLES_PER_FRAME

    def encode_window(self, samples: Tensor, loudness: Tensor) -> tuple[Tensor, Tensor]:
        """(B, past + 640 F + future) and the loudness (B,) before it -> tokens (B, F, N, Da), and loudness 640 F later.

        F is a multiple of `block_frames`.
        """
        raise NotImplementedError

    def forward(self, samples: Tensor) -> Tensor:
        """A whole recording (B, n) -> tokens (B, F, N, Da), F = n / 640 rounded up."""
        tokens, _ = self.push(samples, self.begin(samples.shape[0], samples.device), final=True)
        return tokens

    def begin(self, batch_size: int = 1, device: torch.device | str | None = None) -> AudioState:
        """The state before any sound: it has always been silent."""
        device = self.device if device is None else device
        return AudioState(
            torch.zeros(batch_size, self.past_samples, device=device),
            torch.full((batch_size,), mel.LOUDNESS_FLOOR_DB, device=device),
        )

    def push(self, samples: Tensor, state: AudioState, final: bool = False) -> tuple[Tensor, AudioState]:
        """More sound (B, n), n >= 0 -> tokens (B, k, N, Da) of the k >= 0 frames that are complete now.

        `final` completes all, the last one padded with silence; the state returned then is that of a new recording.
        """
        assert samples.ndim == 2 and samples.shape[0] == state.samples.shape[0], (samples.shape, state.samples.shape)
        sound = torch.cat([state.samples, samples.float()], 1)  # begins `past_samples` before the next frame
        waiting = sound.shape[1] - self.past_samples
        if final:
            num_frames = num_frames_for_samples(waiting)
        else:
            num_frames = max(0, waiting - self.future_samples) // SAMPLES_PER_FRAME
        num_blocks = -(-num_frames // self.block_frames) if final else num_frames // self.block_frames
        num_encoded = num_blocks * self.block_frames
        if not num_encoded:
            return self._no_tokens(sound), self._after(sound, state.loudness, final)
        window_samples = self.past_samples + num_encoded * SAMPLES_PER_FRAME + self.future_samples
        window = F.pad(sound[:, :window_samples], (0, max(0, window_samples - sound.shape[1])))
        tokens, loudness = self.encode_window(window, state.loudness)
        num_kept = num_frames if final else num_encoded
        return tokens[:, :num_kept], self._after(sound[:, num_encoded * SAMPLES_PER_FRAME :], loudness, final)

    def _after(self, sound: Tensor, loudness: Tensor, final: bool) -> AudioState:
        # A copy: a view would keep the whole recording in memory.
        return self.begin(sound.shape[0], sound.device) if final else AudioState(sound.clone(), loudness)

    def _no_tokens(self, sound: Tensor) -> Tensor:
        return sound.new_zeros(sound.shape[0], 0, self.num_tokens, self.token_width).to(self.dtype)


class TimeBlock(nn.Module):
    """Depthwise convolution over time, then an MLP on each step, added to the input (after ConvNeXt, Liu et al. 2022).

    (B, T, C) -> (B, T - past - future, C): nothing is padded.
    """

    def __init__(self, width: int, ratio: int, past: int, future: int) -> None:
        super().__init__()
        self.past, self.future = past, future
        self.mix = nn.Conv1d(width, width, past + 1 + future, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, ratio * width)
        self.narrow = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x.transpose(1, 2)).transpose(1, 2)
        kept = x[:, self.past : x.shape[1] - self.future]
        return kept + self.narrow(F.gelu(self.widen(self.norm(mixed))))


class MelAudioEncoder(AudioEncoder):
    """Log-mel levels relative to the speaker's loudness, convolutions over 10 ms hops and then over frames.

    `*_past` and `*_future` list how many steps each block sees; their sums, with the mel window, are the receptive
    field. The defaults look 187.5 ms ahead (lips move before their sound) and about 1.4 s back.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913  the configuration of diffusers' models is this signature
        self,
        num_tokens: int = 4,
        token_width: int = 128,
        hop_width: int = 160,
        frame_width: int = 224,
        ratio: int = 3,
        hop_past: tuple[int, ...] = (4, 4, 4),
        hop_future: tuple[int, ...] = (2, 1, 1),
        frame_past: tuple[int, ...] = (8, 8, 8, 8),
        frame_future: tuple[int, ...] = (1, 1, 1, 0),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.num_tokens, self.token_width = num_tokens, token_width
        self.stem = nn.Conv1d(mel.NUM_FEATURES, hop_width, hop_past[0] + 1 + hop_future[0])
        reaches = zip(hop_past[1:], hop_future[1:], strict=True)
        self.hop_blocks = nn.ModuleList(TimeBlock(hop_width, 2, *reach) for reach in reaches)
        # A frame is made of its own four hops and two on either side.
        self.fold = nn.Conv1d(hop_width, frame_width, 2 * mel.HOPS_PER_FRAME, stride=mel.HOPS_PER_FRAME)
        reaches = zip(frame_past, frame_future, strict=True)
        self.frame_blocks = nn.ModuleList(TimeBlock(frame_width, ratio, *reach) for reach in reaches)
        self.norm = nn.LayerNorm(frame_width)
        self.head = nn.Linear(frame_width, num_tokens * token_width)
        self.token_norm = nn.LayerNorm(token_width)
        fold = mel.HOPS_PER_FRAME // 2
        past_hops = sum(hop_past) + fold + sum(frame_past) * mel.HOPS_PER_FRAME
        future_hops = sum(hop_future) + fold + sum(frame_future) * mel.HOPS_PER_FRAME
        self.past_hops = past_hops
        self.past_samples = (past_hops + mel.SMOOTHING_HOPS - 1) * mel.HOP_SAMPLES + mel.REACH_BACK
        self.future_samples = future_hops * mel.HOP_SAMPLES + mel.REACH_AHEAD
        initialise(self, torch.Generator().manual_seed(seed))

    def encode_window(self, samples: Tensor, loudness: Tensor) -> tuple[Tensor, Tensor]:
        features, track = mel.features(samples, loudness)  # (B, past + 4 F + future hops, 81), (B, the same)
        tokens = self.encode_features(features)
        return tokens, track[:, tokens.shape[1] * mel.HOPS_PER_FRAME - 1]

    def encode_features(self, features: Tensor) -> Tensor:
        """Features of `mel.features` (B, past + 4 F + future hops, 81) -> tokens (B, F, N, Da)."""
        centred = 2 * features.to(self.dtype) - 1  # silence must not be all zeros: norms would blow up what is left
        x = self.stem(centred.transpose(1, 2)).transpose(1, 2)  # (B, hops, hop_width)
        for block in self.hop_blocks:
            x = block(x)
        x = self.fold(F.gelu(x).transpose(1, 2)).transpose(1, 2)  # (B, past + F + future frames, frame_width)
        for block in self.frame_blocks:
            x = block(x)
        tokens = self.head(self.norm(x)).unflatten(-1, (self.num_tokens, self.token_width))  # (B, F, N, Da)
        return self.token_norm(tokens)
