"""Arrays as compact bytes and back."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.errors import InputError, SettingsError
from letstalk.synthetic.data.packing import (
    PictureCodec,
    decode_flac,
    decode_picture,
    deflate,
    encode_flac,
    inflate,
    join_bytes,
)


def smooth_picture(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    return (255 * np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x * y)], -1)).astype(np.uint8)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint16", "float16", "float32", "int32"])
@pytest.mark.parametrize("shape", [(7,), (5, 3), (4, 6, 2), (0, 3), (1, 1)])
def test_label_arrays_come_back_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    array = (random.normal(0, 10000, shape)).astype(np.int64).astype(dtype)
    back = inflate(deflate(array), array.dtype.str, shape)
    assert back.dtype == array.dtype and back.tobytes() == array.tobytes()
    back[...] = 0  # callers may write into it


def test_tracks_pack_better_than_plain_deflate() -> None:
    import zlib

    drifting = np.cumsum(np.random.default_rng(0).integers(-20, 21, (50, 2000)), axis=0).astype(np.int16)
    assert len(deflate(drifting)) < 0.7 * len(zlib.compress(drifting.tobytes(), 6))


def test_damage_is_told() -> None:
    data = deflate(np.arange(1000, dtype=np.int32)).copy()
    data[20:40] = 7
    with pytest.raises(InputError, match="unpacked"):
        inflate(data, "<i4", (1000,))
    with pytest.raises(InputError, match="decoded"):
        decode_picture(b"no picture at all")


@pytest.mark.parametrize(
    ("codec", "most_levels"), [(PictureCodec("jpeg", 95), 6), (PictureCodec("webp", 95), 14), (PictureCodec("png"), 0)]
)
def test_pictures_come_back(codec: PictureCodec, most_levels: int) -> None:
    picture = smooth_picture()
    data = codec.encode(picture)
    assert data == codec.encode(picture)
    back = decode_picture(data)
    assert back.shape == picture.shape and back.dtype == np.uint8
    assert np.abs(back.astype(int) - picture).max() <= most_levels


def test_jpeg_keeps_full_colour_resolution() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = (200, 40, 40)
    stripes[:, 1::2] = (40, 40, 200)
    error = np.abs(decode_picture(PictureCodec("jpeg", 95).encode(stripes)).astype(int) - stripes)
    assert error.mean() < 8, "halved colour would blend the stripes"


@pytest.mark.parametrize("wrong", [("gif", 95), ("jpeg", 0), ("webp", 101)])
def test_unknown_formats_are_refused(wrong: tuple[str, int]) -> None:
    with pytest.raises(SettingsError):
        PictureCodec(*wrong)  # type: ignore[arg-type]


def test_sound_comes_back_to_16_bits(speech_like: np.ndarray) -> None:
    data = encode_flac(speech_like)
    assert data == encode_flac(speech_like)
    assert np.abs(decode_flac(data) - speech_like).max() <= 0.5 / 32767 + 1e-7
    assert len(data) < speech_like.size * 2


def test_joined_bytes_can_be_cut_apart() -> None:
    data, ends = join_bytes([b"ab", b"", b"cde"])
    assert ends.tolist() == [2, 2, 5] and data.tobytes() == b"abcde"
