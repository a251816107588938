"""From light to the picture a camera would have saved: exposure, colour, tone curve, lens, sensor, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

from letstalk.runtime import numpy_generator

CURVE_STEPS = 2048
CURVE_TOP = 2.0  # square root of the brightest light that the curve tells apart
NOISE_MARGIN_PX = 64


@dataclass(frozen=True)
class Finish:
    """All zero or one: a clean picture. Compression and noise differ from frame to frame, the rest stays for a clip."""

    exposure: float = 1.0  # linear gain; the renderer applies it to the lights
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 0.0  # 0..1, an S-curve
    lift: float = 0.0  # 0..0.1, faded blacks
    saturation: float = 1.0
    vignette: float = 0.0  # 0..0.6, darkening of the corners
    blur_px: float = 0.0  # Gaussian sigma at 256 pixels; scales with the size
    noise: float = 0.0  # grey levels in the shadows
    noise_grain_px: float = 0.0  # blur of the noise
    jpeg_quality: int = 0  # 1..100, 0 for none
    sharpen: float = 0.0  # 0..1, as phones do


def sample_finish(rng: np.random.Generator, brightness: float, skin_lightness: float) -> Finish:
    """`brightness` is what the exposure meter reads on the face, `skin_lightness` 0..1 its linear albedo."""
    # Cameras meter on the whole scene and lift dark faces only part of the way.
    metered = 0.43 / (max(brightness, 0.05) * max(skin_lightness, 0.02) ** 0.5)
    warmth = rng.normal(0, 0.035)
    balance = (float(1 + warmth), float(1 + rng.normal(0, 0.012)), float(1 - warmth))
    return Finish(
        exposure=float(metered * np.exp2(rng.normal(0, 0.28))),
        white_balance=balance,
        contrast=float(rng.uniform(0.0, 0.45)),
        lift=float(max(rng.normal(0, 0.015), 0)),
        saturation=float(np.clip(rng.normal(0.92, 0.12), 0.55, 1.25)),
        vignette=float(rng.choice([0, rng.uniform(0.05, 0.4)])),
        blur_px=float(rng.choice([0.0, rng.uniform(0.3, 0.6), rng.uniform(0.6, 1.1)], p=[0.55, 0.33, 0.12])),
        noise=float(rng.choice([0.0, rng.gamma(2.0, 0.8)], p=[0.35, 0.65])),
        noise_grain_px=float(rng.choice([0.0, rng.uniform(0.3, 0.7)])),
        jpeg_quality=int(rng.integers(45, 96)) if rng.random() < 0.55 else 0,
        sharpen=float(rng.choice([0.0, rng.uniform(0.1, 0.6)], p=[0.7, 0.3])),
    )  # fmt: skip


class Developer:
    """Turns linear frames of one clip into pictures; the same seed and frame give the same noise."""

    def __init__(self, finish: Finish, size_px: int, seed: int) -> None:
        self.finish, self.size_px, self.seed = finish, size_px, seed
        self._gain = np.sqrt(np.array(finish.white_balance, np.float32))
        self._curve = tone_curve(finish.contrast, finish.lift)
        rows, columns = (np.mgrid[0:size_px, 0:size_px].astype(np.float32) + 0.5) * (2 / size_px) - 1
        self._vignette = np.sqrt(1 - finish.vignette * 0.5 * (rows**2 + columns**2))
        self._noise = self._noise_field()

    def _noise_field(self) -> np.ndarray:
        size = self.size_px + NOISE_MARGIN_PX
        if self.finish.noise <= 0:
            return np.zeros((size, size, 3), np.float32)
        noise = numpy_generator(self.seed, "sensor").standard_normal((size, size, 3), np.float32)
        noise[..., ::2] *= 1.35  # red and blue have fewer sensor cells
        if self.finish.noise_grain_px > 0:
            noise = cv2.GaussianBlur(noise, (0, 0), self.finish.noise_grain_px)
            noise /= noise.std() + 1e-6
        return noise * np.float32(self.finish.noise)

    def develop(self, colour: np.ndarray, frame_index: int) -> np.ndarray:
        """(size, size, 3) float32 square root of exposed light to uint8; sharpening and JPEG are left to `store`."""
        sigma = self.finish.blur_px * self.size_px / 256
        if sigma > 0.2:
            colour = cv2.GaussianBlur(colour, (0, 0), sigma)
        x, y = numpy_generator(self.seed, "grain", frame_index).integers(0, NOISE_MARGIN_PX, 2)
        noise = self._noise[y : y + self.size_px, x : x + self.size_px]
        picture = np.empty(colour.shape, np.uint8)
        _develop(colour, self._gain, self._vignette, self._curve, np.float32(self.finish.saturation), noise, picture)
        return picture

    def store(self, picture: np.ndarray) -> np.ndarray:
        """What phones and video files do to a finished picture: sharpening and JPEG."""
        if self.finish.sharpen > 0:
            soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
            picture = cv2.addWeighted(picture, 1 + self.finish.sharpen, soft, -self.finish.sharpen, 0)
        return jpeg(picture, self.finish.jpeg_quality) if self.finish.jpeg_quality else picture


def tone_curve(contrast: float, lift: float) -> np.ndarray:
    """(CURVE_STEPS + 1,) float32 0..255 over the square root of light: soft shoulder, S-curve, lifted blacks."""
    encoded = np.linspace(0, CURVE_TOP, CURVE_STEPS + 1)
    knee = 0.72
    over = np.maximum(encoded - knee, 0)
    shown = np.minimum(encoded, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    curved = shown * shown * (3 - 2 * shown)
    shown = shown + contrast * (curved - shown)
    return (255 * (lift + (1 - lift) * shown)).astype(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _develop(colour, gain, vignette, curve, saturation, noise, out):  # noqa: ANN001, ANN202
    top = len(curve) - 1
    scale = np.float32(top / CURVE_TOP)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            dark = vignette[y, x]
            red, green, blue = colour[y, x, 0] * gain[0], colour[y, x, 1] * gain[1], colour[y, x, 2] * gain[2]
            grey = np.float32(0.25) * red + np.float32(0.65) * green + np.float32(0.1) * blue
            for c in range(3):
                value = red if c == 0 else green if c == 1 else blue
                value = max((grey + saturation * (value - grey)) * dark, np.float32(0.0))
                place = min(value * scale, np.float32(top - 1))
                step = int(place)
                level = curve[step] + (curve[step + 1] - curve[step]) * (place - step)
                level += noise[y, x, c] * (np.float32(1.3) - level * np.float32(0.003))
                out[y, x, c] = np.uint8(min(max(level + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """The picture after a JPEG of that quality, RGB uint8."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert done and decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])
