"""The noise that a frame starts from: a function of the job's seed and the frame's number, of nothing else.

So it does not matter where chunks begin, how the sound arrived, which other jobs share the batch or whether the job
was saved and taken up again in between: no random state is carried along.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from letstalk.runtime import numpy_generator


def frame_noise(
    seed: int, first_frame: int, num_frames: int, frame_shape: tuple[int, ...], *, correlation: float = 0.0
) -> Tensor:
    """(num_frames, *frame_shape) float32 on the CPU, standard normal.

    `correlation` 0..1 is that between any two frames of the job: each is a mixture of one noise that all frames share
    and its own ("mixed noise" of Ge et al. 2023, arXiv 2305.10474, equation 5). A chain of frames would be smoother
    still, but frame i of it could not be made without all frames before it.
    """
    assert 0.0 <= correlation <= 1.0, correlation
    numbers = range(first_frame, first_frame + num_frames)
    own = [numpy_generator(seed, "frame noise", i).standard_normal(frame_shape, dtype=np.float32) for i in numbers]
    noise = torch.from_numpy(np.stack(own)) if own else torch.zeros(0, *frame_shape)
    if correlation == 0.0:
        return noise
    shared = numpy_generator(seed, "shared noise").standard_normal(frame_shape, dtype=np.float32)
    return noise * (1.0 - correlation) ** 0.5 + torch.from_numpy(shared) * correlation**0.5
