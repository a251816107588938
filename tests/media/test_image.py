"""Any picture a user may bring is read the same, and what cannot be read is refused with a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from letstalk.errors import InputError, OutputError
from letstalk.media.image import ImageLimits, load_image, save_image

HEIGHT, WIDTH = 96, 128


def ramp(height=HEIGHT, width=WIDTH):
    """A smooth colour gradient whose four corners differ, so that any turn or clip is seen."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / (width - 1), y * 255 / (height - 1), 255 - x * 255 / (width - 1)], axis=2).astype(
        np.uint8
    )


def encoded(picture: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def mean_difference(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def png_header(width, height):
    """A PNG whose header promises a size and whose pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b"")]
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def cut_short(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("PNG", {}, 0.0),
        ("BMP", {}, 0.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 90}, 3.0),
        ("AVIF", {"quality": 90}, 3.0),
        ("JPEG", {"quality": 95}, 3.0),
        ("JPEG", {"quality": 95, "progressive": True}, 3.0),
        ("JPEG2000", {}, 1.0),
        ("MPO", {"quality": 95}, 3.0),
        ("GIF", {}, 25.0),
        ("TGA", {}, 0.0),
        ("PPM", {}, 0.0),
    ],
)
def test_formats_give_the_same_picture(image_format, options, tolerance):
    image = load_image(encoded(Image.fromarray(ramp()), image_format, **options))
    assert image.pixels.shape == (HEIGHT, WIDTH, 3) and image.pixels.dtype == np.uint8
    assert image.pixels.flags.writeable and image.pixels.flags.c_contiguous
    assert mean_difference(image.pixels, ramp()) <= tolerance
    assert image.notes == ()


def test_sixteen_bit_grey_is_scaled_not_clipped():
    deep = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    expected = np.repeat(np.rint(deep / 257.0)[..., None], 3, axis=2)
    for image_format in ("PNG", "TIFF"):
        pixels = load_image(encoded(Image.fromarray(deep), image_format)).pixels
        assert np.abs(pixels - expected).max() <= 1
    assert np.abs(load_image(deep).pixels - expected).max() <= 1


def test_deep_integers_and_floats_are_scaled():
    values = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    expected = np.rint(values * 255)
    for picture in (
        Image.fromarray(values),
        Image.fromarray(values * 255),
        Image.fromarray((values * 65535).astype(np.int32)),
    ):
        assert np.abs(load_image(encoded(picture, "TIFF")).pixels[..., 0] - expected).max() <= 1


def test_one_bit_palette_and_grey():
    grey = Image.fromarray(ramp()).convert("L")
    assert np.array_equal(load_image(encoded(grey, "PNG")).pixels[..., 1], np.asarray(grey))
    one_bit = load_image(encoded(grey.convert("1"), "PNG")).pixels
    assert set(np.unique(one_bit)) == {0, 255}
    palette = Image.fromarray(ramp()).quantize(64)
    assert np.array_equal(load_image(encoded(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB with a clear colour"])
def test_transparency_is_composited_and_said(mode):
    pixels = np.full((HEIGHT, WIDTH, 4), 40, np.uint8)
    pixels[:, :, 3] = 255
    pixels[:, : WIDTH // 2] = (250, 250, 250, 0)
    picture = Image.fromarray(pixels)
    if mode == "LA":
        data = encoded(picture.convert("LA"), "PNG")
    elif mode == "P":
        data = encoded(picture.quantize(8), "PNG")
    elif mode == "RGBA":
        data = encoded(picture, "PNG")
    else:
        data = encoded(picture.convert("RGB"), "PNG", transparency=(250, 250, 250))
    image = load_image(data)
    left, right = image.pixels[:, : WIDTH // 2 - 1], image.pixels[:, WIDTH // 2 + 1 :]
    assert np.ptp(left) == 0 and 100 < left[0, 0, 0] < 240, (
        "transparent parts show neither their hidden colour nor black"
    )
    assert np.abs(right.astype(int) - 40).max() <= 2
    assert any("transparent" in note for note in image.notes)


def test_opaque_alpha_is_silent_and_full_transparency_is_refused():
    opaque = np.dstack([ramp(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    image = load_image(encoded(Image.fromarray(opaque), "PNG"))
    assert np.array_equal(image.pixels, ramp()) and image.notes == ()
    opaque[:, :, 3] = 0
    with pytest.raises(InputError, match="transparent"):
        load_image(encoded(Image.fromarray(opaque), "PNG"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turned_jpeg(orientation):
    upright = Image.fromarray(ramp())
    # What a camera stores is the inverse of what the tag asks the viewer to do.
    stored = {
        1: lambda p: p,
        2: lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda p: p.transpose(Image.Transpose.ROTATE_180),
        4: lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda p: p.transpose(Image.Transpose.TRANSPOSE),
        6: lambda p: p.transpose(Image.Transpose.ROTATE_90),
        7: lambda p: p.transpose(Image.Transpose.TRANSVERSE),
        8: lambda p: p.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encoded(stored, "JPEG", quality=98, exif=exif.tobytes()))
    assert image.pixels.shape == (HEIGHT, WIDTH, 3)
    assert mean_difference(image.pixels, ramp()) < 3
    assert bool(image.notes) == (orientation != 1)


def test_damaged_exif_does_not_stop_the_picture():
    data = encoded(Image.fromarray(ramp()), "JPEG", quality=98, exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xffjunk")
    assert mean_difference(load_image(data).pixels, ramp()) < 3


def test_cmyk():
    picture = Image.fromarray(ramp()).convert("CMYK")
    # Pillow writes JPEG inverted, as Adobe does, and TIFF straight.
    for image_format, tolerance in {"JPEG": 4.0, "TIFF": 1.0}.items():
        image = load_image(encoded(picture, image_format))
        assert mean_difference(image.pixels, ramp()) < tolerance
        assert any("CMYK" in note for note in image.notes)


def swapped_profile():
    """An sRGB profile whose red and green primaries are exchanged: its conversion is known without any other file."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    names = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12)
    }
    red, green = names[b"rXYZ"], names[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def test_embedded_profile_is_converted_to_srgb():
    image = load_image(encoded(Image.fromarray(ramp()), "PNG", icc_profile=swapped_profile()))
    assert mean_difference(image.pixels, ramp()[:, :, [1, 0, 2]]) < 1.5
    assert any("sRGB" in note for note in image.notes)


def test_srgb_and_broken_profiles_change_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = load_image(encoded(Image.fromarray(ramp()), "PNG", icc_profile=srgb))
    assert np.array_equal(image.pixels, ramp()) and image.notes == ()
    broken = load_image(encoded(Image.fromarray(ramp()), "PNG", icc_profile=b"no profile at all"))
    assert np.array_equal(broken.pixels, ramp()) and any("profile" in note for note in broken.notes)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_of_many_is_used_and_said(image_format):
    first, second = Image.fromarray(ramp()), Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 255))
    data = encoded(first, image_format, save_all=True, append_images=[second, first])
    image = load_image(data)
    assert mean_difference(image.pixels, ramp()) < 25 < mean_difference(image.pixels, np.asarray(second))
    assert any("first" in note for note in image.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"Dear reader, this is only a letter.\n" * 9, "not a picture"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(64), "HEIC"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(64), "a video"),
        (b"%PDF-1.7\n", "document"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64), "sound"),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), "too small"),
        (encoded(Image.new("RGB", (400, 63)), "PNG"), "too small"),
        (png_header(40_000, 40_000), "too large"),
        (png_header(40_000, 80), "too large"),
        (png_header(18_000, 9_000), "too large"),
        (png_header(300, 300), "damaged"),
        (b"GIF89a\x80\x00\x80\x00\x00\x00\x00;", "damaged"),
        (cut_short(encoded(Image.fromarray(ramp()), "PNG")), "damaged"),
        (cut_short(encoded(Image.effect_noise((300, 300), 60), "JPEG")), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_with_a_sentence_and_a_next_step(tmp_path, content, words):
    path = tmp_path / "portrait.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load_image(path)
    assert (
        'portrait.png"' in caught.value.problem
        and caught.value.problem.endswith(".")
        and caught.value.advice.endswith(".")
    )


def test_refused_paths(tmp_path):
    for source, words in (
        (None, "No picture"),
        (tmp_path, "folder"),
        (tmp_path / "absent.png", "does not exist"),
        (tmp_path / ("long" * 200), "cannot be opened"),
        ("nul\0name.png", "cannot be opened"),
        ("", "folder"),
        ("/dev/null", "device"),
        (17, "cannot be read"),
        (io.StringIO("text"), "as text"),
    ):
        with pytest.raises(InputError, match=words):
            load_image(source)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "TGA"])
def test_damaged_files_never_raise_anything_else(image_format):
    rng = np.random.default_rng(5)
    data = encoded(Image.fromarray(ramp()), image_format)
    for trial in range(60):
        damaged = bytearray(data[: rng.integers(1, len(data))] if trial % 3 == 0 else data)
        for _ in range(rng.integers(1, 12)):
            damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
        try:
            assert load_image(bytes(damaged)).pixels.shape[2] == 3
        except InputError as error:
            assert error.advice


@pytest.mark.parametrize(
    "name",
    [
        "with spaces.png",
        'it\'s "quoted".png',
        "портрет 肖像 🙂.png",
        "-rf.png",
        "a" * 196 + ".png",
        "no_suffix",
        "photo.jpg",
    ],
)
def test_names(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encoded(Image.fromarray(ramp()), "PNG"))  # the content decides, whatever the suffix says
    for source in (path, str(path)):
        image = load_image(source)
        assert np.array_equal(image.pixels, ramp()) and image.name == name
    if path.suffix:
        (tmp_path / "out").mkdir()
        target = save_image(tmp_path / "out" / name, ramp())
        assert mean_difference(load_image(target).pixels, ramp()) < 3
        assert [file.name for file in target.parent.iterdir()] == [name]


def test_what_a_web_app_hands_over():
    data = encoded(Image.fromarray(ramp()), "PNG")
    grey = ramp()[:, :, 0]
    with_alpha = np.dstack([ramp(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    for source in (
        data,
        bytearray(data),
        io.BytesIO(data),
        Image.fromarray(ramp()),
        ramp(),
        ramp() / 255.0,
        with_alpha,
    ):
        assert np.array_equal(load_image(source).pixels, ramp())
    for source in (grey, grey[:, :, None], grey > 127):
        assert load_image(source).pixels.shape == (HEIGHT, WIDTH, 3)
    for source in (
        ramp() * 3.0,
        ramp().astype(np.int64),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((80, 80, 2), np.uint8),
    ):
        with pytest.raises(InputError):
            load_image(source)
    with pytest.raises(InputError, match="too small"):
        load_image(np.zeros((20, 200, 3), np.uint8))


def test_a_given_array_is_not_changed_by_later_work():
    given = ramp()
    load_image(given).pixels[:] = 0
    assert np.array_equal(given, ramp())


def test_large_pictures_are_reduced_and_said():
    limits = ImageLimits(reduce_side=200)
    for image_format in ("PNG", "JPEG"):
        image = load_image(encoded(Image.fromarray(ramp(300, 900)), image_format), limits)
        assert image.pixels.shape == (67, 200, 3)
        assert mean_difference(image.pixels, ramp(67, 200)) < 4
        assert any("900 x 300" in note and "200 x 67" in note for note in image.notes)
    with pytest.raises(InputError, match="strip"):
        load_image(encoded(Image.fromarray(ramp(100, 900)), "PNG"), limits)


def test_saving_is_all_or_nothing(tmp_path):
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".tiff"):
        path = save_image(tmp_path / f"out{suffix}", ramp())
        assert mean_difference(load_image(path).pixels, ramp()) < 4
    before = sorted(tmp_path.iterdir())
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    for target in ("out.xyz", "absent/out.png", "file/out.png", "folder.png"):
        with pytest.raises(OutputError) as caught:
            save_image(tmp_path / target, ramp())
        assert caught.value.advice
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "file", tmp_path / "folder.png"])


def test_a_device_is_never_replaced(tmp_path):
    link = tmp_path / "full.png"
    link.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="device"):
        save_image(link, ramp())
    assert link.is_symlink()


def test_nothing_is_left_when_the_disk_is_full(tmp_path, monkeypatch):
    def fail(self, file, *args, **kwargs):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="no space left"):
        save_image(tmp_path / "out.png", ramp())
    assert list(tmp_path.iterdir()) == []
