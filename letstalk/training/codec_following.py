"""Does the mouth of another person do what the driver's does? Read by the face reader from decoded pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from letstalk.models.autoencoder import Decoded, ReferenceAutoencoder
from letstalk.training.batch import PairBatch
from letstalk.training.codec_validation import correlation
from letstalk.training.readings import READING_NAMES
from letstalk.training.strangers import READ, TRUSTED_CONFIDENCE, Reader, Strangers, ask, read, read_transfer

GAP = READ.index("mouth_gap")
LIDS = [READ.index("lid_left"), READ.index("lid_right")]


class FollowingExam:
    """Collects, batch by batch, what was asked and what was made.

    Three series. `true`: the reader on true pictures against their labels, which nothing can surpass. `transfer`: on
    pictures made from the partner's change against the partner's labels. `stranger`: the change of the readings against
    the change that a driver of another clip asks for; a codec that ignores drivers has r and spread 0 in it.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._made: dict[str, list[Tensor]] = {}
        self._asked: dict[str, list[Tensor]] = {}
        self._before: tuple[PairBatch, Tensor] | None = None

    @torch.no_grad()
    def add(self, model: ReferenceAutoencoder, batch: PairBatch, transfer: Decoded, latents: Tensor) -> None:
        """One clip's rows, decoded from their partners' change, and the latents (B, F, C, 8, 8) of their frames."""
        truth = batch.readings[:, 0, [READING_NAMES.index(name) for name in READ]]
        for name, pictures, asked in (
            ("true", batch.pictures[:, 0], truth), ("transfer", transfer.pictures, truth[batch.partner]),
        ):  # fmt: skip
            found, confidence = read(self.reader, pictures, batch.landmarks[:, 0])
            self._keep(name, found, asked, (confidence > TRUSTED_CONFIDENCE)[:, None].expand_as(found))
        if self._before is not None:
            self._add_strangers(model, batch, latents, *self._before)
        self._before = (batch, latents)

    def _add_strangers(
        self, model: ReferenceAutoencoder, batch: PairBatch, latents: Tensor, drivers: PairBatch, of_drivers: Tensor
    ) -> None:
        rows = torch.arange(batch.num_rows, device=latents.device)
        who = Strangers(rows, rows % drivers.num_rows, torch.zeros(len(rows), 4, device=latents.device))
        guide = model.encode_references(batch.pictures[:, 1:2])
        decoded = model.decode(who.latents(latents, of_drivers), guide)
        found, confidence = read_transfer(self.reader, decoded, batch, who)
        asked = ask(self.reader, batch, who, drivers)
        trusted = asked.trusted & (confidence > TRUSTED_CONFIDENCE)[:, None]
        before = asked.readings - asked.change  # as the reader reads the reference
        self._keep("stranger", found - before, asked.change, trusted)

    def _keep(self, name: str, made: Tensor, asked: Tensor, trusted: Tensor) -> None:
        gone = torch.full_like(made, torch.nan)
        self._made.setdefault(name, []).append(torch.where(trusted, made.float(), gone))
        self._asked.setdefault(name, []).append(torch.where(trusted, asked.float(), gone))

    def figures(self) -> dict[str, float]:
        """For each series r and spread ratio of the gap, r of the lids, and the share of mouths that were readable."""
        found: dict[str, float] = {}
        for name in self._made:
            made, asked = torch.cat(self._made[name]).cpu(), torch.cat(self._asked[name]).cpu()
            readable = ~made[:, GAP].isnan()
            found[f"{name}_gap_readable"] = float(readable.float().mean())
            found[f"{name}_gap_r"], found[f"{name}_gap_spread"] = _likeness(made[:, GAP], asked[:, GAP])
            found[f"{name}_lids_r"], _ = _likeness(made[:, LIDS].flatten(), asked[:, LIDS].flatten())
        return found


def _likeness(made: Tensor, asked: Tensor) -> tuple[float, float]:
    """Pearson's r and the ratio of the spreads over what could be read; 0 where there is nothing to compare."""
    seen = ~made.isnan()
    made, asked = made[seen], asked[seen]
    if len(made) < 2:
        return 0.0, 0.0
    return correlation(made, asked), float(made.std() / asked.std().clamp_min(1e-6))
