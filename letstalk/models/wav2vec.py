"""wav2vec 2.0 (Baevski et al., 2020) as audio encoder: the published system's features, for those who have the weights.

All twelve hidden layers, read at the middle of each video frame, two frames to either side, through an MLP that makes
tokens of them. The network normalises over all that it hears, so it hears windows of fixed length whose place depends
on the number of the frame alone: sound gives the same tokens in whatever pieces it arrives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from letstalk.errors import MissingAssetError
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.types import SAMPLES_PER_FRAME, exact_div

NEIGHBOURS = 2  # frames on either side whose features a frame's tokens are made of
STEP_SAMPLES = 320  # wav2vec 2.0 gives features at 50 Hz ...
FIELD_SAMPLES = 400  # ... each of this many samples
STEPS_PER_FRAME = exact_div(SAMPLES_PER_FRAME, STEP_SAMPLES)
# Where the middle of a frame lies between the first and the second feature of that frame.
SHARE_OF_SECOND = (SAMPLES_PER_FRAME - FIELD_SAMPLES) / 2 / STEP_SAMPLES
QUIETEST = 10 ** (-60 / 20)  # standard deviation of a window that holds a voice; less is taken as silence


class AudioProjection(nn.Module):
    """Features of 2 NEIGHBOURS + 1 frames and L layers -> tokens: three linear layers and a norm.

    (B, F, 5, L, C) -> (B, F, N, Da)
    """

    def __init__(self, num_features: int, hidden_width: int, num_tokens: int, token_width: int) -> None:
        super().__init__()
        self.num_tokens, self.token_width = num_tokens, token_width
        self.first = nn.Linear(num_features, hidden_width)
        self.second = nn.Linear(hidden_width, hidden_width)
        self.third = nn.Linear(hidden_width, num_tokens * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x.flatten(2)))  # (B, F, hidden)
        x = F.relu(self.second(x))
        return self.norm(self.third(x).unflatten(-1, (self.num_tokens, self.token_width)))


class Wav2VecAudioEncoder(AudioEncoder):
    """`wav2vec_config` is the dictionary of a transformers `Wav2Vec2Config`; `from_wav2vec` also brings its weights.

    wav2vec itself is frozen; the projection is trained together with the transformer that reads its tokens. A window
    is `past_frames` + `block_frames` + `future_frames` long, so with the defaults the first frame of a block waits for
    480 ms of sound after its own end, and the last one for 200 ms.
    """

    @register_to_config
    def __init__(
        self,
        wav2vec_config: dict[str, Any],
        num_tokens: int = 32,
        token_width: int = 768,
        hidden_width: int = 512,
        past_frames: int = 50,
        block_frames: int = 8,
        future_frames: int = 5,
    ) -> None:
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        super().__init__()
        assert future_frames > NEIGHBOURS and past_frames >= NEIGHBOURS, "the neighbours of a frame must be heard"
        config = Wav2Vec2Config.from_dict(wav2vec_config)
        assert config.inputs_to_logits_ratio == STEP_SAMPLES, "features must come at 50 Hz"
        self.num_tokens, self.token_width, self.block_frames = num_tokens, token_width, block_frames
        self.past_frames = past_frames
        self.past_samples = past_frames * SAMPLES_PER_FRAME
        self.future_samples = future_frames * SAMPLES_PER_FRAME
        self.wav2vec = Wav2Vec2Model(config).requires_grad_(False)
        num_features = (2 * NEIGHBOURS + 1) * config.num_hidden_layers * config.hidden_size
        self.projection = AudioProjection(num_features, hidden_width, num_tokens, token_width)

    @classmethod
    def from_wav2vec(cls, name: str | Path, **sizes: int) -> Self:
        """Pretrained features from a local folder, or a name on the Hugging Face hub; the projection is untrained."""
        from transformers import Wav2Vec2Model

        try:
            # Only safetensors: a pickle may run anything.
            loaded = Wav2Vec2Model.from_pretrained(str(name), use_safetensors=True)
        except (OSError, ValueError) as error:
            raise MissingAssetError(
                f"There are no wav2vec 2.0 weights at {str(name)!r}.",
                "Give a folder with config.json and model.safetensors, or, with a connection to the Hugging Face hub, "
                "a name such as facebook/wav2vec2-base-960h.",
            ) from error
        encoder = cls(wav2vec_config=loaded.config.to_dict(), **sizes)
        encoder.wav2vec.load_state_dict(loaded.state_dict())
        return encoder

    def train(self, mode: bool = True) -> Self:
        """wav2vec stays as it was trained: no dropout, no masking."""
        super().train(mode)
        self.wav2vec.eval()
        return self

    def encode_window(self, samples: Tensor, loudness: Tensor) -> tuple[Tensor, Tensor]:
        margin = self.past_samples + self.future_samples
        windows = samples.unfold(
            1, margin + self.block_frames * SAMPLES_PER_FRAME, self.block_frames * SAMPLES_PER_FRAME
        )
        layers = self.hear(windows.flatten(0, 1))  # (B blocks, frames of a window, L, C)
        first = self.past_frames - NEIGHBOURS
        around = layers[:, first : first + self.block_frames + 2 * NEIGHBOURS]
        around = around.unfold(1, 2 * NEIGHBOURS + 1, 1).movedim(-1, 2)  # (B blocks, block_frames, 5, L, C)
        tokens = self.projection(around)  # (B blocks, block_frames, N, Da)
        return tokens.unflatten(0, windows.shape[:2]).flatten(1, 2), loudness

    def hear(self, windows: Tensor) -> Tensor:
        """Windows (W, n) -> hidden layers at the middle of each of their frames (W, n / 640 rounded down - 1, L, C)."""
        spread = windows.std(1, keepdim=True)
        # A floor under the divisor would not do: wav2vec's own norms amplify whatever is left.
        levelled = (windows - windows.mean(1, keepdim=True)) * (spread > QUIETEST) / spread.clamp_min(QUIETEST)
        hidden = self.wav2vec(levelled.to(self.dtype), output_hidden_states=True).hidden_states
        layers = torch.stack(hidden[1:], 2)  # (W, steps, L, C)
        num_frames = (layers.shape[1] - 1) // STEPS_PER_FRAME
        first, second = (layers[:, k : k + num_frames * STEPS_PER_FRAME : STEPS_PER_FRAME] for k in (0, 1))
        return torch.lerp(first, second, SHARE_OF_SECOND)
