"""Transfer between people who have nothing to do with each other, the use that the product is for.

A driver's change of latents moves another person's reference. No picture shows what should come out, but the driver's
labels say what mouth and lids must do, and a frozen face reader says what they do in the decoded picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from letstalk.models.warp import carried
from letstalk.training.readings import READING_NAMES, READING_SPREAD

if TYPE_CHECKING:
    from letstalk.models.autoencoder import Decoded
    from letstalk.training.batch import PairBatch

READ = ("mouth_gap", "mouth_width", "lid_left", "lid_right")  # what the reader is asked for
SHARE = (0.5, 0.2, 0.15, 0.15)  # of each in the loss
# No change goes beyond what faces do: lips and lids that touch stay as they are.
LEAST, MOST = (0.0, 0.35, 0.0, 0.0), (0.75, 0.95, 0.48, 0.48)
# A reader that is further off on the person's own reference, in spreads, cannot see this mouth or eye at all.
TRUSTED_ERROR = 0.8
TRUSTED_CONFIDENCE = 0.5
FORGIVEN = 0.25  # errors below so many spreads are the reader's own noise: their pull fades to nothing

_PLACES = [READING_NAMES.index(name) for name in READ]

Reader = Callable[..., Any]  # reader.differentiable.DifferentiableReader, which training does not import at the top


class Strangers(NamedTuple):
    """S more pictures to decode in a step, from rows of its batch."""

    rows: Tensor  # (S,) int64, whose reference
    drivers: Tensor  # (S,) int64, whose change; of another clip wherever the batch has more than one
    jitter: Tensor  # (S, 4) for the reader's look

    @classmethod
    def pair(cls, num_rows: int, share: float, jitter: Tensor) -> Strangers:
        """The first rows with the drivers two rows on: neighbours show the same performance. `jitter` (B, 4)."""
        count = min(num_rows, max(1, round(num_rows * share))) if share > 0 else 0
        rows = torch.arange(count, device=jitter.device)
        return cls(rows, (rows + 2) % num_rows, jitter[:count])

    def latents(self, latents: Tensor, of_drivers: Tensor | None = None) -> Tensor:
        """(B, F, C, h, w) of all frames -> (S, C, h, w): the own reference plus the driver's change."""
        of_drivers = latents if of_drivers is None else of_drivers
        return latents[self.rows, 1] + of_drivers[self.drivers, 0] - of_drivers[self.drivers, 1]


class Asked(NamedTuple):
    """What the reader should read from S pictures."""

    readings: Tensor  # (S, len(READ))
    change: Tensor  # (S, len(READ)): of it, what differs from the reference
    trusted: Tensor  # (S, len(READ)) bool


def asked_of(own: Tensor, own_read: Tensor, target: Tensor, reference: Tensor) -> Asked:
    """Labels (S, num_readings) of the person's reference and of the driver's two frames, and what the reader reads
    from the person's reference (S, len(READ)).

    The change is added to the label, where it can be limited: a closed mouth cannot close further. What the reader
    errs by on this very face is added afterwards, so that it is not asked to be undone.
    """
    truth = own[:, _PLACES]
    low, high = (torch.minimum(truth, truth.new_tensor(LEAST)), torch.maximum(truth, truth.new_tensor(MOST)))
    change = (truth + target[:, _PLACES] - reference[:, _PLACES]).clamp(low, high) - truth
    trusted = (own_read - truth).abs() < TRUSTED_ERROR * _spread(truth)
    return Asked(own_read + change, change, trusted)


def read(reader: Reader, pictures: Tensor, landmarks: Tensor, jitter: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(S, len(READ)) readings and (S,) confidence of pictures whose landmarks are about known."""
    found = reader(pictures, landmarks, jitter)
    return torch.cat([found.gap[:, None], found.width[:, None], found.lids], dim=1).float(), found.confidence


def ask(reader: Reader, batch: PairBatch, strangers: Strangers, drivers: PairBatch | None = None) -> Asked:
    """From the labels of `batch`, and of the batch that the drivers are rows of, if it is another."""
    drivers = drivers or batch
    own, driver = strangers.rows, strangers.drivers
    with torch.no_grad():
        own_read, confidence = read(reader, batch.pictures[own, 1], batch.landmarks[own, 1])
    asked = asked_of(batch.readings[own, 1], own_read, drivers.readings[driver, 0], drivers.readings[driver, 1])
    return asked._replace(trusted=asked.trusted & (confidence > TRUSTED_CONFIDENCE)[:, None])


def read_transfer(
    reader: Reader, decoded: Decoded, batch: PairBatch, strangers: Strangers, jitter: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`read` of the pictures decoded for `strangers`: the face is where the flow has carried the reference's."""
    with torch.no_grad():
        landmarks = carried(batch.landmarks[strangers.rows, 1], decoded.motions[0].flow64)
    return read(reader, decoded.pictures, landmarks, jitter)


def reader_loss(found: Tensor, confidence: Tensor, asked: Asked) -> Tensor:
    """Errors (S, len(READ)) in spreads, by SHARE; 0 where nothing can be trusted."""
    spread = _spread(found)
    error = F.smooth_l1_loss(found / spread, asked.readings / spread, reduction="none", beta=FORGIVEN)
    weight = found.new_tensor(SHARE) * asked.trusted * (confidence > TRUSTED_CONFIDENCE)[:, None]
    return (error * weight).sum() / max(len(found), 1)


def load_reader() -> Reader:
    """The shipped face reader, frozen."""
    from letstalk.reader.differentiable import DifferentiableReader

    return DifferentiableReader.load()


def _spread(like: Tensor) -> Tensor:
    return like.new_tensor([READING_SPREAD[place] for place in _PLACES])
