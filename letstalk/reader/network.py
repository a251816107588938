"""Four small networks in one module: finder (where are faces), face (landmarks, pose), mouth and eye (details).

Without normalisation layers: on a CPU their backward pass costs more than the convolutions. Careful initial weights do
their work (`initialise`). Pictures enter as float in -1..1,
(n, 3, h, w), channels last in memory. Points leave in pixels of the patch, mouths in eye distances.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from letstalk.reader.geometry import EYE, FACE, MOUTH

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "reader.safetensors"


@dataclass(frozen=True)
class ReaderConfig:
    """Widths of the four networks and the names of the points, in the order of the outputs."""

    landmark_names: tuple[str, ...]
    face_channels: tuple[int, int, int, int] = (40, 80, 120, 96)
    mouth_channels: tuple[int, int, int] = (32, 64, 96)
    eye_channels: tuple[int, int] = (32, 48)
    finder_channels: tuple[int, int, int] = (24, 40, 56)

    @classmethod
    def from_json(cls, path: Path) -> ReaderConfig:
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{key: tuple(value) for key, value in values.items()})

    def to_json(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @cached_property
    def eye_centres(self) -> tuple[int, int]:
        """The character's right eye comes first: it is at the left of the picture."""
        names = self.landmark_names
        return names.index("eye_right_centre"), names.index("eye_left_centre")

    def indices(self, *prefixes: str) -> list[int]:
        return [index for index, name in enumerate(self.landmark_names) if name.startswith(prefixes)]

    @cached_property
    def mouth(self) -> list[int]:
        return self.indices("mouth_", "lip_")

    @cached_property
    def eyes(self) -> tuple[list[int], list[int]]:
        """Points of the character's left and right eye, in the same order."""
        return self.indices("eye_left_"), self.indices("eye_right_")

    @cached_property
    def mirrored(self) -> list[int]:
        """For each point the one that takes its name in a mirror."""
        swapped = [
            name.replace("left", "right") if "left" in name else name.replace("right", "left")
            for name in self.landmark_names
        ]
        return [self.landmark_names.index(name) for name in swapped]

    @cached_property
    def lip_contours(self) -> tuple[list[int], list[int]]:
        """Points round both lips from outside, and round their opening, each in the order of a closed line."""
        ring = ("lip_upper_{}_right", "lip_upper_{}", "lip_upper_{}_left")
        below = ("lip_lower_{}_left", "lip_lower_{}", "lip_lower_{}_right")
        outer, inner = (
            ["mouth_corner_right", *(name.format(edge) for name in ring), "mouth_corner_left",
             *(name.format(edge) for name in below)]
            for edge in ("outer", "inner")
        )  # fmt: skip
        index = self.landmark_names.index
        return [index(name) for name in outer], [index(name) for name in inner]

    @cached_property
    def stable(self) -> list[int]:
        """Points that speech and blinks hardly move: they tell where the face is."""
        names = [f"eye_{side}_{part}" for side in ("left", "right") for part in ("inner", "outer")]
        names += ["nose_bridge", "nose_tip", "nose_base", "nose_wing_left", "nose_wing_right"]
        names += ["mouth_corner_left", "mouth_corner_right", "cheek_left", "cheek_right", "forehead"]
        return [self.landmark_names.index(name) for name in names]


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())


class Residual(nn.Module):
    """x + conv(relu(conv(x))), zero at the start; a narrow middle saves parameters where there are many channels."""

    def __init__(self, channels: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or channels
        self.first = nn.Conv2d(channels, middle, 3, 1, 1)
        self.second = nn.Conv2d(middle, channels, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


@dataclass(frozen=True)
class Points:
    """Points in pixels of the patch, and the heat maps that they are the centres of mass of."""

    places: torch.Tensor  # (n, k, 2) float32
    logits: torch.Tensor  # (n, k, h, w) float32, one for each cell of `stride` pixels
    stride: int


class HeatMapPoints(nn.Module):
    """Features (n, c, h, w) to `num_points` points of a patch `stride` times finer."""

    def __init__(self, channels: int, num_points: int, stride: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, num_points, 1)
        self.stride = stride

    def forward(self, features: torch.Tensor) -> Points:
        logits = self.maps(features).float()
        count, points, height, width = logits.shape
        weights = logits.reshape(count, points, -1).softmax(-1).reshape(logits.shape)
        xs = torch.arange(width, device=logits.device, dtype=torch.float32)
        ys = torch.arange(height, device=logits.device, dtype=torch.float32)
        cells = torch.stack([(weights.sum(2) * xs).sum(-1), (weights.sum(3) * ys).sum(-1)], -1)
        return Points((cells + 0.5) * self.stride - 0.5, logits, self.stride)


class Readout(nn.Module):
    """Numbers from features and from points: one hidden layer over both, always in float32.

    Most of pose, gap and opening is said by the points already; the features know what points cannot tell.
    """

    def __init__(
        self, features: tuple[int, int, int], squeezed: int, num_points: int, hidden: int, outputs: int
    ) -> None:
        """`features` is (channels, height, width); they are squeezed to fewer channels and flattened."""
        super().__init__()
        channels, height, width = features
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.hidden = nn.Linear(squeezed * height * width + 2 * num_points, hidden)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, features: torch.Tensor, points: Points) -> torch.Tensor:
        flat = F.relu(self.squeeze(features)).float().flatten(1)
        # What the numbers want must not move the points.
        side = points.stride * max(points.logits.shape[-2:])
        places = 8 * (points.places.detach() / side - 0.5)
        with torch.autocast(flat.device.type, enabled=False):
            return _exact(self.out, F.relu(_exact(self.hidden, torch.cat([flat, places.flatten(1)], -1))))


def _exact(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """float32, whatever the weights are kept in."""
    return F.linear(x, layer.weight.float(), layer.bias.float())


@dataclass(frozen=True)
class FaceOutput:
    points: Points
    rotation: torch.Tensor  # (n, 3, 3) of the head against the camera, as the patch shows it
    logit: torch.Tensor  # (n,) that this is a face, here and of this size


class FaceNet(nn.Module):
    """128 x 128 -> all points, head rotation, and the logit of "here is a face, of this size"."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        fine, middle, coarse, least = config.face_channels
        self.stem = _conv(48, fine)
        self.down1 = nn.Sequential(_conv(fine, middle, 2), Residual(middle))
        self.down2 = nn.Sequential(
            _conv(middle, coarse, 2), Residual(coarse, coarse // 2), Residual(coarse, coarse // 2)
        )
        self.down3 = nn.Sequential(_conv(coarse, least, 2), Residual(least, least // 2))
        self.up3 = nn.Conv2d(least, coarse, 1)
        self.up2 = nn.Conv2d(coarse, middle, 1)
        self.up1 = nn.Conv2d(middle, fine, 1)
        self.join = Residual(middle)
        self.fine = _conv(fine, fine + 8)
        self.points = HeatMapPoints(fine + 8, len(config.landmark_names), 4)
        cells = (least, FACE.height // 32, FACE.width // 32)
        self.whole = Readout(cells, 32, len(config.landmark_names), 64, 7)

    def forward(self, patches: torch.Tensor) -> FaceOutput:
        a = self.stem(F.pixel_unshuffle(patches, 4))
        b = self.down1(a)
        c = self.down2(b)
        d = self.down3(c)
        c = F.relu(c + _doubled(self.up3(d)))
        b = self.join(F.relu(b + _doubled(self.up2(c))))
        points = self.points(self.fine(F.relu(a + _doubled(self.up1(b)))))
        numbers = self.whole(d, points)
        return FaceOutput(points, _rotation(numbers[:, :6]), numbers[:, 6])


def _doubled(features: torch.Tensor) -> torch.Tensor:
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def _rotation(numbers: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (n, 3, 3) from two loose columns, by Gram and Schmidt; zeros give the identity."""
    identity = torch.eye(3, device=numbers.device)
    x = F.normalize(numbers[:, :3] + identity[0], dim=-1)
    y = numbers[:, 3:] + identity[1]
    y = F.normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


@dataclass(frozen=True)
class MouthOutput:
    points: Points
    gap: torch.Tensor  # (n,) eye distances
    log_gap_error: torch.Tensor  # (n,) log of the expected absolute error of the gap
    width: torch.Tensor  # (n,) eye distances
    open_logit: torch.Tensor  # (n,)


class MouthNet(nn.Module):
    TYPICAL_GAP = 0.06
    TYPICAL_WIDTH = 0.8

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.mouth_channels
        self.stem = _conv(12, fine)
        self.down1 = nn.Sequential(_conv(fine, middle, 2), Residual(middle))
        self.down2 = nn.Sequential(_conv(middle, coarse, 2), Residual(coarse, coarse // 2))
        self.up = nn.Conv2d(coarse, middle, 1)
        self.join = _conv(middle, middle)
        self.points = HeatMapPoints(middle, len(config.mouth), 4)
        cells = (coarse, MOUTH.height // 8, MOUTH.width // 8)
        self.numbers = Readout(cells, 16, len(config.mouth), 40, 4)

    def forward(self, patches: torch.Tensor) -> MouthOutput:
        middle = self.down1(self.stem(F.pixel_unshuffle(patches, 2)))
        coarse = self.down2(middle)
        points = self.points(self.join(F.relu(middle + _doubled(self.up(coarse)))))
        gap, log_error, width, logit = self.numbers(coarse, points).unbind(-1)
        return MouthOutput(points, self.TYPICAL_GAP + gap, log_error - 3.0, self.TYPICAL_WIDTH + width, logit)


@dataclass(frozen=True)
class MouthReading:
    places: torch.Tensor  # (n, 14, 2) pixels of the patch
    gap: torch.Tensor  # (n,) eye distances, as all below
    gap_error: torch.Tensor
    width: torch.Tensor
    open_logit: torch.Tensor


@dataclass(frozen=True)
class EyeOutput:
    points: Points
    opening: torch.Tensor  # (n,) largest opening of the lids / width of this eye
    gaze: torch.Tensor  # (n, 2) radians against the head: yaw + towards the outer corner, pitch + up


class EyeNet(nn.Module):
    """Sees every eye as the character's left one; the patches of right eyes are mirrored."""

    TYPICAL_OPENING = 0.3

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        fine, coarse = config.eye_channels
        self.stem = nn.Sequential(_conv(12, fine), Residual(fine))
        self.down = nn.Sequential(_conv(fine, coarse, 2), Residual(coarse, coarse // 2))
        self.up = nn.Conv2d(coarse, fine, 1)
        self.join = _conv(fine, fine)
        self.points = HeatMapPoints(fine, len(config.eyes[0]), 2)
        cells = (coarse, EYE.height // 4, EYE.width // 4)
        self.numbers = Readout(cells, 8, len(config.eyes[0]), 32, 3)

    def forward(self, patches: torch.Tensor) -> EyeOutput:
        fine = self.stem(F.pixel_unshuffle(patches, 2))
        coarse = self.down(fine)
        points = self.points(self.join(F.relu(fine + _doubled(self.up(coarse)))))
        numbers = self.numbers(coarse, points)
        return EyeOutput(points, self.TYPICAL_OPENING + numbers[:, 0], numbers[:, 1:])


class FinderNet(nn.Module):
    """A picture of any size (multiple of 32) -> for each cell of 8 pixels: logit, shift of the centre, log of the size.

    The centre is the origin of face coordinates, the size the eye distance in pixels against `TYPICAL_SIZE`.
    """

    STRIDE = 8
    TYPICAL_SIZE = 20.0

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.finder_channels
        self.stem = _conv(48, fine)
        self.down1 = nn.Sequential(_conv(fine, middle, 2), Residual(middle, middle // 2))
        self.down2 = nn.Sequential(_conv(middle, coarse, 2), Residual(coarse, coarse // 2))
        self.down3 = nn.Sequential(_conv(coarse, coarse, 2), Residual(coarse, coarse // 2))
        self.up3 = nn.Conv2d(coarse, coarse, 1)
        self.up2 = nn.Conv2d(coarse, middle, 1)
        self.join = Residual(middle, middle // 2)
        self.out = nn.Conv2d(middle, 4, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 4, h / 8, w / 8) float32: logit, x and y of the centre against the cell's in cells, log size."""
        b = self.down1(self.stem(F.pixel_unshuffle(pictures, 4)))
        c = self.down2(b)
        d = self.down3(c)
        c = F.relu(c + _doubled(self.up3(d)))
        return self.out(self.join(F.relu(b + _doubled(self.up2(c))))).float()


def initialise(network: nn.Module) -> None:
    """He's scale everywhere: with PyTorch's default the signal fades by half in each layer and nothing is learnt.

    Residual branches and readouts end at zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, Residual):
            nn.init.zeros_(module.second.weight)
        if isinstance(module, Readout):
            nn.init.zeros_(module.out.weight)


def to_network(pictures: torch.Tensor) -> torch.Tensor:
    """(..., h, w, 3) uint8 to (..., 3, h, w) float in -1..1."""
    return pictures.movedim(-1, -3).float().mul_(1 / 127.5).sub_(1)


class ReaderNetwork(nn.Module):
    """The four networks and the mean face that they share."""

    mean_face: torch.Tensor  # (num_landmarks, 2) face coordinates

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.finder = FinderNet(config)
        self.face = FaceNet(config)
        self.mouth = MouthNet(config)
        self.eye = EyeNet(config)
        self.register_buffer("mean_face", torch.zeros(len(config.landmark_names), 2))
        initialise(self)

    def read_mouths(self, patches: torch.Tensor) -> MouthReading:
        """The mean of what is seen as it is and in a mirror: where the two differ, it is not in the picture."""
        count, width = len(patches), patches.shape[-1]
        out: MouthOutput = self.mouth(torch.cat([patches, patches.flip(-1)]))
        mouth = self.config.mouth
        renamed = [mouth.index(self.config.mirrored[point]) for point in mouth]
        places, mirrored = out.points.places.split(count)
        mirrored = mirrored[:, renamed] * mirrored.new_tensor([-1.0, 1.0]) + mirrored.new_tensor([width - 1.0, 0.0])
        numbers = torch.stack([out.gap, out.log_gap_error, out.width, out.open_logit]).unflatten(1, (2, count))
        gap, log_error, mouth_width, logit = numbers.mean(1)
        disagreement = (numbers[0, 0] - numbers[0, 1]).abs() / 2
        return MouthReading((places + mirrored) / 2, gap, log_error.exp().maximum(disagreement), mouth_width, logit)

    def save(self, folder: Path) -> None:
        """Half precision: the rounding is far below what the network can tell apart."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {key: value.half().contiguous() for key, value in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)
        self.config.to_json(folder / CONFIG_FILE)

    @classmethod
    def load(cls, folder: Path) -> ReaderNetwork:
        from safetensors.torch import load_file

        network = cls(ReaderConfig.from_json(folder / CONFIG_FILE))
        weights = load_file(folder / WEIGHTS_FILE)
        network.load_state_dict({key: value.float() for key, value in weights.items()})
        return network.eval()
