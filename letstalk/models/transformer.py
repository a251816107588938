"""The talking transformer: a chunk of noisy latents, a portrait and speech -> the velocity that leads to video.

Latents are differences from the portrait: x0 = (z - z_ref) * delta_scale of normalised latents, so zero means "as in
the portrait". Conventions are diffusers' flow ones: x = (1 - s) x0 + s eps, v = eps - x0, timestep 1000 s.

Shapes: B samples, F chunk frames, M memory frames, P places (tokens of a frame), N audio tokens of a frame, D width.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from letstalk.errors import LetsTalkError, SettingsError
from letstalk.models.attention import NORM_EPSILON, SPATIAL_ATTENTIONS, CrossAttention, TemporalAttention
from letstalk.models.backends import SoftmaxKernel, usable_backend
from letstalk.models.block import NUM_MODULATIONS, Block, BlockInput, BlockShape
from letstalk.models.blocks import initialise, start_at_zero
from letstalk.models.embeddings import (
    ControlEmbedding,
    TimeEmbedding,
    given_or_null,
    patchify,
    sincos_places,
    time_rotations,
    timeless,
    unpatchify,
)
from letstalk.models.fusion import AUDIO_FUSIONS, PORTRAIT_FUSIONS
from letstalk.types import exact_div

SINK, MEMORY, PORTRAIT = range(3)  # rows of `kinds`


class PortraitCache(NamedTuple):
    """All that denoising needs of a portrait; batch comes first in every field, so rows can be chosen and joined."""

    reference: Tensor  # (B, P, D) the embedded portrait at its places
    tokens: Tensor  # (B, P, D) the tokens with which the symbiotic branch begins
    guides: Tensor  # (B, depth, ...) what each block needs; empty where portrait and clip change each other


class MemoryCache(NamedTuple):
    """Keys and values of reference and memory at every depth: the same for all denoising steps of a chunk."""

    keys: Tensor  # (B, depth, 1 + M, P, H, E); the reference comes first
    values: Tensor
    valid: Tensor | None  # (B, 1 + M) bool; None when all are


class TalkingTransformer(ModelMixin, ConfigMixin):
    """One family by configuration; the defaults are the shipped `mini`.

    `delta_scale` (one number per channel) and `latent_hash` belong to the autoencoder on whose latents it was trained.
    `max_memory` is what it was trained with; any number of memory frames runs.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = True
    _no_split_modules = ("Block",)
    _repeated_blocks = ("Block",)
    _skip_keys = ("portrait_cache", "memory_cache")

    @register_to_config
    def __init__(  # noqa: PLR0913  the configuration of diffusers' models is this signature
        self,
        latent_channels: int = 16,
        latent_side: int = 8,
        patch: int = 2,
        width: int = 256,
        depth: int = 6,
        head_width: int = 32,
        ffn_ratio: float = 2.0,
        siamese_ratio: float = 1.0,
        portrait_fusion: str = "symbiotic",
        symbiotic_mode: str = "one-way",
        audio_fusion: str = "direct",
        spatial_attention: str = "linear",
        audio_tokens: int = 4,
        audio_width: int = 128,
        control_names: tuple[str, ...] = ("head_motion", "expression"),
        max_memory: int = 8,
        delta_scale: list[float] | None = None,
        latent_hash: str | None = None,
        learn_variance: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        side = exact_div(latent_side, patch)
        cell = latent_channels * patch * patch
        if portrait_fusion == "symbiotic" and symbiotic_mode == "joint":
            portrait_fusion = "symbiotic-joint"
        check_choice("spatial_attention", spatial_attention, SPATIAL_ATTENTIONS)
        check_choice("portrait_fusion", portrait_fusion, PORTRAIT_FUSIONS)
        check_choice("audio_fusion", audio_fusion, AUDIO_FUSIONS)
        check_choice("symbiotic_mode", symbiotic_mode, ("one-way", "joint"))
        shape = BlockShape(
            width, head_width, ffn_ratio, siamese_ratio, side, spatial_attention, portrait_fusion, audio_fusion
        )
        self.patch_in, self.portrait_in = nn.Linear(cell, width), nn.Linear(cell, width, bias=False)
        self.places = nn.Parameter(torch.zeros(side * side, width))
        self.kinds = nn.Parameter(torch.zeros(3, width))
        self.time = TimeEmbedding(width)
        self.controls = ControlEmbedding(len(control_names), width) if control_names else None
        self.modulation = nn.Linear(width, NUM_MODULATIONS * width)
        self.audio_in = nn.Linear(audio_width, width)
        self.audio_places = nn.Parameter(torch.zeros(audio_tokens, width))
        self.memory_audio_in = nn.Linear(audio_tokens * audio_width, width)
        self.null_portrait = nn.Parameter(torch.zeros(latent_channels, latent_side, latent_side))
        self.null_audio = nn.Parameter(torch.zeros(audio_tokens, audio_width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(depth))
        self.out_table = nn.Parameter(torch.zeros(2, width))
        self.out = nn.Linear(width, cell * (2 if learn_variance else 1))
        self.gradient_checkpointing = False
        self.initialise(torch.Generator().manual_seed(seed))

    def forward(  # noqa: PLR0913  everything that conditions a chunk
        self,
        latents: Tensor,
        timestep: Tensor,
        *,
        portrait: Tensor | None = None,
        portrait_cache: PortraitCache | None = None,
        portrait_given: Tensor | None = None,
        audio: Tensor,
        audio_given: Tensor | None = None,
        memory: Tensor | None = None,
        memory_audio: Tensor | None = None,
        memory_valid: Tensor | None = None,
        memory_noise: Tensor | None = None,
        memory_cache: MemoryCache | None = None,
        controls: Tensor | None = None,
        controls_given: Tensor | None = None,
    ) -> Tensor:
        """Latents (B, F, C, h, w) at noise level `timestep`, (B,) or (B, F), 0..1000 -> velocity (B, F, C, h, w).

        portrait (B, C, h, w): normalised z_ref, not a difference. audio (B, F, N, Da). Where `portrait_given` or
        `audio_given` (B,) is False, learned nulls take their place everywhere. memory (B, M, C, h, w): differences of
        the frames before the chunk, oldest first, with their own sound (B, M, N, Da), the std of the noise on them
        (B,) and which of them there are (B, M). controls (B, F, K): log-ratio amounts in the order of
        `control_names`, 0 = usual.

        `prepare_portrait` and `prepare_memory` give caches that replace the portrait and the memory with all that was
        said about them; the result is the same. With learn_variance the result has 2 C channels.
        """
        if portrait_cache is None:
            assert portrait is not None, "give the portrait or its cache"
            portrait_cache = self.prepare_portrait(portrait, portrait_given)
        if memory_cache is None:
            memory_cache = self.prepare_memory(
                portrait_cache, memory, memory_audio, memory_valid, memory_noise, audio_given
            )
        num_frames, dtype = latents.shape[1], self.dtype_inside
        time = self.time(timestep if timestep.dim() == 2 else timestep[:, None])  # (B, F or 1, D)
        if self.controls is not None:
            time = time + self.controls(*self.known_controls(controls, controls_given, timestep))
        shared = self.modulation(F.silu(time)).unflatten(-1, (NUM_MODULATIONS, -1))  # (B, F or 1, 6, D)

        x = self.patch_in(patchify(latents.to(dtype), self.config["patch"]))  # (B, F, P, D)
        x = x + portrait_cache.reference[:, None] + time[:, :, None]
        sound = self.embed_audio(audio, audio_given)  # (B, F, N, D)
        joined = self.joined_tokens(portrait_cache.tokens, sound)  # (B, F, J, D) or None
        sound = sound.flatten(0, 1)  # (B F, N, D)

        rotations = time_rotations(torch.arange(num_frames, device=x.device), self.config["head_width"])
        mask = self.time_mask(memory_cache.valid, num_frames)  # (B, 1, 1, 1 + M + F) or None
        for depth, block in enumerate(self.stack):
            heard, sound = block.audio.prepare(sound)
            given = BlockInput(
                shared, rotations, memory_cache.keys[:, depth], memory_cache.values[:, depth], mask,
                portrait_cache.guides[:, depth], heard,
            )  # fmt: skip
            x, joined = self.run_block(block, x, joined, given)

        shift, scale = (self.out_table[:, None] + time[:, :, None, None]).unbind(2)  # (B, F or 1, 1, D)
        x = self.out(torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON), scale))
        return unpatchify(x, self.config["patch"], self.config["latent_side"]).to(latents.dtype)

    def prepare_portrait(self, portrait: Tensor, portrait_given: Tensor | None = None) -> PortraitCache:
        """z_ref (B, C, h, w), normalised -> what every chunk and step needs of it. One call for each portrait."""
        portrait = given_or_null(portrait.to(self.dtype_inside), portrait_given, self.null_portrait)
        reference = self.portrait_in(patchify(portrait, self.config["patch"])) + self.places  # (B, P, D)
        tokens = start = reference + self.kinds[PORTRAIT]
        # One-way tokens are read at noise level 0, as clean as the portrait is.
        clean = self.time(torch.zeros(1, 1, device=portrait.device))  # (1, 1, D)
        shared = self.modulation(F.silu(clean)).unflatten(-1, (NUM_MODULATIONS, -1))  # (1, 1, 6, D)
        guides = []
        for block in self.stack:
            guide, tokens = block.portrait.prepare(tokens, partial(block.look_inwards, modulation=shared))
            guides.append(guide)
        return PortraitCache(reference, start, torch.stack(guides, dim=1))

    def prepare_memory(
        self,
        portrait: PortraitCache,
        memory: Tensor | None = None,
        memory_audio: Tensor | None = None,
        memory_valid: Tensor | None = None,
        memory_noise: Tensor | None = None,
        audio_given: Tensor | None = None,
    ) -> MemoryCache:
        """Reference and memory frames -> their keys and values. One call for each chunk; arguments as in `forward`."""
        head_width: int = self.config["head_width"]
        reference = portrait.reference
        x = (reference + self.patch_in.bias + self.kinds[SINK])[:, None]  # (B, 1, P, D): a difference of zero
        rotations = timeless(head_width, reference.device)
        valid = None
        if memory is not None and memory.shape[1]:
            assert memory_audio is not None, "memory frames come with their sound"
            if memory_valid is not None and not bool(memory_valid.all()):  # a mask costs time: only where needed
                memory = torch.where(memory_valid[:, :, None, None, None], memory, 0)
                memory_audio = torch.where(memory_valid[:, :, None, None], memory_audio, 0)
                valid = F.pad(memory_valid, (1, 0), value=True)
            frames = self.embed_memory(memory, memory_audio, memory_noise, audio_given)
            x = torch.cat([x, frames + reference[:, None]], dim=1)  # (B, 1 + M, P, D)
            before = torch.arange(-memory.shape[1], 0, device=memory.device)
            rotations = torch.cat([rotations, time_rotations(before, head_width)])
        mask = None if valid is None else valid[:, None, None]
        keys, values = [], []
        for block in self.stack:
            x, k, v = block.temporal.context(x, rotations, mask)
            keys.append(k)
            values.append(v)
        return MemoryCache(torch.stack(keys, 1), torch.stack(values, 1), valid)

    def embed_memory(self, memory: Tensor, audio: Tensor, noise: Tensor | None, audio_given: Tensor | None) -> Tensor:
        """Differences (B, M, C, h, w), their sound and the noise's std on them (B,) -> (B, M, P, D)."""
        dtype = self.dtype_inside
        level = torch.zeros(len(memory), device=memory.device) if noise is None else 1000.0 * noise
        sound = given_or_null(audio.to(dtype), audio_given, self.null_audio).flatten(2)  # (B, M, N Da)
        of_frame = self.memory_audio_in(sound) + self.time(level)[:, None] + self.kinds[MEMORY]  # (B, M, D)
        return self.patch_in(patchify(memory.to(dtype), self.config["patch"])) + of_frame[:, :, None]

    def embed_audio(self, audio: Tensor, given: Tensor | None) -> Tensor:
        audio = given_or_null(audio.to(self.dtype_inside), given, self.null_audio)
        return self.audio_in(audio) + self.audio_places

    def known_controls(
        self, amounts: Tensor | None, given: Tensor | None, like: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Amounts (B, F or 1, K) and which of them are given; without amounts none is."""
        if amounts is not None:
            return amounts, given
        amounts = torch.zeros(len(like), 1, len(self.config["control_names"]), device=like.device)
        return amounts, torch.zeros_like(amounts, dtype=torch.bool)

    def joined_tokens(self, portrait: Tensor, sound: Tensor) -> Tensor | None:
        """Tokens of the jointly symbiotic conditions, for each frame: (B, F, J, D); None when there are none."""
        first = self.stack[0]
        joined = [sound] if first.audio.joins else []
        if first.portrait.joins:
            joined.append(portrait[:, None].expand(-1, sound.shape[1], -1, -1))
        return torch.cat(joined, dim=2) if joined else None

    def time_mask(self, valid: Tensor | None, num_frames: int) -> Tensor | None:
        """(B, 1 + M) -> (B, 1, 1, 1 + M + F): chunk frames see every valid context frame and each other."""
        return None if valid is None else F.pad(valid, (0, num_frames), value=True)[:, None, None]

    def run_block(
        self, block: nn.Module, x: Tensor, joined: Tensor | None, given: BlockInput
    ) -> tuple[Tensor, Tensor | None]:
        checkpoint = self._gradient_checkpointing_func  # set by diffusers' enable_gradient_checkpointing
        if self.gradient_checkpointing and checkpoint is not None and torch.is_grad_enabled():
            return checkpoint(block, x, joined, given)
        return block(x, joined, given)

    @property
    def stack(self) -> list[Block]:
        return cast("list[Block]", self.blocks)

    @property
    def dtype_inside(self) -> torch.dtype:
        return self.patch_in.weight.dtype

    def deltas(self, latents: Tensor, portrait: Tensor) -> Tensor:
        """Normalised latents (B, F, C, h, w) and z_ref (B, C, h, w) -> the differences that this model speaks of."""
        return (latents - portrait[:, None]) * self._delta_scale(latents)

    def undo_deltas(self, deltas: Tensor, portrait: Tensor) -> Tensor:
        return deltas / self._delta_scale(deltas) + portrait[:, None]

    def check_codec(self, latent_hash: str | None) -> None:
        """Refuses an autoencoder whose latents are not those this model was trained on."""
        wanted = self.config["latent_hash"]
        if wanted is not None and wanted != latent_hash:
            raise LetsTalkError(
                f"This transformer speaks of the latents {wanted}, the autoencoder makes {latent_hash}.",
                "Use the two that were trained together.",
            )

    def set_attention_backend(self, backend: str) -> None:
        """native, xformers or any other name of diffusers; one that is not usable here falls back to native.

        Unlike the method of diffusers it leaves other models of the process alone.
        """
        choice = usable_backend(backend, self.config["head_width"], self.device, self.dtype)
        for module in self.modules():
            if isinstance(module, SoftmaxKernel):
                module.choice = choice

    def reset_attention_backend(self) -> None:
        self.set_attention_backend("native")

    def initialise(self, generator: torch.Generator) -> None:
        """Weights from one seed. Blocks begin as the identity, the velocity as zero."""
        initialise(self, generator)
        with torch.no_grad():
            self.places.copy_(
                sincos_places(exact_div(self.config["latent_side"], self.config["patch"]), self.config["width"])
            )
            for table in (self.kinds, self.audio_places, self.null_portrait, self.null_audio):
                table.normal_(std=0.02, generator=generator)
            self.out_table[1] = 1.0
        for module in self.modules():
            if isinstance(module, TemporalAttention):
                start_at_zero(module.adapt)
            elif isinstance(module, CrossAttention):
                start_at_zero(module.out)
            elif isinstance(module, Block):
                module.reset_gates()
        start_at_zero(self.modulation)
        start_at_zero(self.out)

    def _delta_scale(self, like: Tensor) -> Tensor:
        scale = self.config["delta_scale"]
        return like.new_ones(()) if scale is None else like.new_tensor(scale)[:, None, None]


def check_choice(name: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise SettingsError(f"{name} cannot be {value!r}.", f"Use one of: {', '.join(choices)}.")
