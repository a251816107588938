"""Faces are found by the best detector that works here, the choice is told, and nothing in a picture can break it."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from letstalk import runtime
from letstalk.media.detectors import detector_states, load_detectors, local_packs
from letstalk.media.face import FaceFinder, find_faces, frame_portrait, portrait_from_framing
from letstalk.media.framing import FaceCandidate, FramingRules
from letstalk.media.image import LoadedImage
from letstalk.media.paste import PasteBack
from letstalk.types import Framing

# Centres of the eyes of scikit-image's astronaut, read off the enlarged picture.
ASTRONAUT_EYES = np.array([(204.0, 103.0), (247.0, 103.0)])


@pytest.fixture(scope="module")
def astronaut():
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture
def no_cv2(monkeypatch):
    """As where OpenCV is installed and its system libraries are not."""
    monkeypatch.setitem(sys.modules, "cv2", None)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def opencv():
    cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="OpenCV's system libraries are missing")
    return cv2


def eyes_in_crop(portrait, eyes=ASTRONAUT_EYES):
    return np.c_[eyes, np.ones(2)] @ portrait.framing.full_to_crop.T


def face(x, y, side, score=0.9, **changes):
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return replace(FaceCandidate(box, score, "reader"), **changes)


def reader_of(*faces):
    return lambda pixels: list(faces)


def blank(height=300, width=400):
    return np.full((height, width, 3), 128, np.uint8)


def test_opencv_has_cascades(opencv):
    """OpenCV 5 has none; requirements.txt pins 4.x, and another package may still replace it."""
    assert opencv.__version__.startswith("4.")
    assert not opencv.CascadeClassifier(str(next(iter_cascades(opencv)))).empty()


def iter_cascades(cv2):
    from pathlib import Path

    yield from (Path(cv2.__file__).parent / "data").glob("haarcascade_frontalface_default.xml")


def test_opencv_finds_a_photograph_and_its_eyes(opencv, astronaut):
    faces = find_faces(astronaut, model_dirs=())
    assert faces.detector == "opencv" and len(faces.candidates) == 1 and faces.notes == ()
    assert faces.main is not None and faces.main.eyes is not None
    assert np.abs(np.array(faces.main.eyes) - ASTRONAUT_EYES).max() < 5
    portrait = frame_portrait(astronaut, faces, size=256)
    assert portrait.crop.shape == (256, 256, 3) and portrait.detector == "opencv"
    eyes = eyes_in_crop(portrait)
    assert np.abs(eyes[:, 1] - FramingRules().eye_line * 256).max() < 8
    assert abs(eyes[:, 0].mean() - 128) < 12


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_a_tilted_face_is_put_upright(opencv, astronaut, degrees):
    tilted = np.asarray(Image.fromarray(astronaut).rotate(-degrees, Image.Resampling.BICUBIC, center=(225, 110)))
    portrait = frame_portrait(tilted, find_faces(tilted, model_dirs=()))
    angle = np.degrees(np.arctan2(portrait.framing.crop_to_full[1, 0], portrait.framing.crop_to_full[0, 0]))
    assert portrait.detector == "opencv" and angle == pytest.approx(degrees, abs=5)


def test_mirrored_small_dark_and_grey_faces(opencv, astronaut):
    finder = FaceFinder(model_dirs=())
    small = np.asarray(Image.fromarray(astronaut).resize((180, 180), Image.Resampling.LANCZOS))
    canvas = np.full((2000, 1500, 3), 90, np.uint8)
    canvas[1200:1712, 600:1112] = astronaut
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    for picture, factor, offset in (
        (np.ascontiguousarray(astronaut[:, ::-1]), 1.0, None),
        (small, 180 / 512, (0, 0)),
        ((astronaut * 0.3).astype(np.uint8), 1.0, (0, 0)),
        (grey, 1.0, (0, 0)),
        (canvas, 1.0, (600, 1200)),
    ):
        main = finder.find(picture).main
        assert main is not None
        middle = ASTRONAUT_EYES.mean(axis=0) * factor + (offset or 0)
        if offset is None:
            middle[0] = 511 - middle[0]
        x0, y0, x1, y1 = main.box
        assert x0 < middle[0] < x1 and y0 < middle[1] < y1


def test_without_opencv_the_other_cascade_takes_over(no_cv2, astronaut):
    faces = find_faces(astronaut, model_dirs=())
    assert faces.detector == "skimage"
    portrait = frame_portrait(astronaut, faces)
    assert np.abs(eyes_in_crop(portrait)[:, 1] - FramingRules().eye_line * 256).max() < 16
    assert PasteBack(portrait).frame(portrait.crop).shape == astronaut.shape
    state = {item.name: item for item in detector_states(())}
    assert not state["opencv"].available and "libgl1" in state["opencv"].advice
    assert state["skimage"].available


@pytest.mark.parametrize("shape", [(64, 64), (64, 2000), (300, 400), (1500, 90)])
def test_no_face_gives_the_centre_and_says_so(shape):
    faces = find_faces(blank(*shape), model_dirs=())
    assert faces.candidates == () and faces.detector == "centre"
    portrait = frame_portrait(blank(*shape), faces)
    assert portrait.detector == "centre" and any("No face" in note for note in portrait.notes)
    assert portrait.crop.shape == (256, 256, 3)


def test_pictures_without_faces_are_not_given_one():
    import skimage.data

    for name in ("rocket", "moon", "page"):
        picture = getattr(skimage.data, name)()
        picture = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
        assert find_faces(np.ascontiguousarray(picture), model_dirs=()).detector == "centre", name


def test_a_reader_comes_before_the_cascades(astronaut):
    seen = face(300, 200, 120, eyes=((280.0, 190.0), (320.0, 190.0)))
    faces = find_faces(astronaut, reader_of(seen), model_dirs=())
    assert faces.detector == "reader" and faces.main == seen


def test_a_reader_that_sees_nothing_or_fails_gives_way(opencv, astronaut):
    assert find_faces(astronaut, reader_of(), model_dirs=()).detector == "opencv"

    def broken(pixels):
        raise RuntimeError("no weights")

    faces = find_faces(astronaut, broken, model_dirs=())
    assert faces.detector == "opencv" and any("reader" in note for note in faces.notes)


def test_nonsense_from_a_detector_is_dropped():
    nan = float("nan")
    nonsense = (
        FaceCandidate((nan, 0, 50, 50), 0.9, "reader"),
        FaceCandidate((50, 50, 40, 40), 0.9, "reader"),
        face(-500, 100, 80),
        face(200, 150, 90, eyes=((nan, 1.0), (2.0, 3.0))),
    )
    good = face(210, 140, 100)
    assert find_faces(blank(), reader_of(*nonsense, good), model_dirs=()).candidates == (good,)


def test_of_several_faces_the_largest_is_used_and_said():
    large, small, guess, again = (
        face(250, 150, 120),
        face(80, 80, 60),
        face(350, 250, 150, score=0.2),
        face(255, 155, 110),
    )
    faces = find_faces(blank(), reader_of(small, guess, large, again), model_dirs=())
    assert faces.candidates == (large, small)
    assert any("2 faces" in note for note in faces.notes)
    central, edge = face(200, 130, 100), face(390, 290, 104)
    assert find_faces(blank(), reader_of(edge, central), model_dirs=()).main == central


def test_notes_of_image_face_and_framing_come_together():
    image = LoadedImage(blank(), ("It was turned.",))
    portrait = frame_portrait(image, find_faces(image.pixels, reader_of(face(20, 20, 40, score=0.3)), model_dirs=()))
    said = " ".join(portrait.notes)
    assert all(words in said for words in ("turned", "not certain", "beyond", "small"))


def test_a_settled_framing_makes_a_portrait():
    framing = Framing(np.array([[1.0, 0, 40], [0, 1, 20]]), 256, 300, 400)
    gradient = np.repeat(np.arange(400, dtype=np.uint16)[None, :, None] * 255 // 399, 300, axis=0)
    pixels = np.repeat(gradient, 3, axis=2).astype(np.uint8)
    portrait = portrait_from_framing(LoadedImage(pixels), framing, "hand")
    assert np.array_equal(portrait.crop, pixels[20:276, 40:296]) and portrait.notes == ()


def scrfd_model(path, box, eyes, size=128):
    """A model with SCRFD's nine outputs that sees one face at a fixed place, whatever the picture."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    cell = 1
    outputs: dict[str, np.ndarray] = {}
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            outputs[f"{kind}{stride}"] = np.zeros((2 * (size // stride) ** 2, width), np.float32)
    anchor = 2 * (cell * (size // 32) + cell)  # row 1, column 1, first of two anchors
    x = y = cell * 32.0
    points = [*eyes, eyes[0], eyes[0], eyes[1]]
    outputs["score32"][anchor] = 0.9
    outputs["box32"][anchor] = np.array([x - box[0], y - box[1], box[2] - x, box[3] - y]) / 32
    outputs["points32"][anchor] = np.array([(px - x, py - y) for px, py in points]).ravel() / 32
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
            for name, value in outputs.items()
        ],
        "one_face",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.parent.mkdir(parents=True)
    onnx.save(model, str(path))


def test_local_insightface_models_come_first(opencv, tmp_path, capfd, astronaut):
    pytest.importorskip("insightface")
    scrfd_model(tmp_path / "buffalo_l" / "det.onnx", (40, 20, 80, 70), [(52.0, 38.0), (68.0, 38.0)])
    faces = find_faces(astronaut, reader_of(face(300, 200, 120)), model_dirs=(tmp_path,))
    assert faces.detector == "insightface" and faces.main is not None
    assert faces.main.box == pytest.approx((160, 80, 320, 280)) and faces.main.score == pytest.approx(0.9)
    assert np.array(faces.main.eyes) == pytest.approx(np.array([(208, 152), (272, 152)]))
    assert "find model" not in capfd.readouterr().out
    assert detector_states((tmp_path,))[0].available


def test_absent_empty_and_broken_packs_are_passed_over(opencv, tmp_path, astronaut):
    (tmp_path / "buffalo_l").mkdir()
    (tmp_path / "empty_file").mkdir()
    (tmp_path / "empty_file" / "det.onnx").touch()
    assert local_packs((tmp_path, tmp_path / "absent")) == []
    assert not detector_states((tmp_path,))[0].available
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "det.onnx").write_bytes(b"this is no model")
    assert local_packs((tmp_path,)) == [tmp_path / "broken"]
    assert [detector.name for detector in load_detectors(None, (tmp_path,))] == ["opencv"]
    assert find_faces(astronaut, model_dirs=(tmp_path,)).detector == "opencv"
    assert not detector_states((tmp_path,))[0].available


def test_known_packs_come_before_others(tmp_path):
    for name in ("another", "buffalo_s", "antelopev2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "det.onnx").write_bytes(b"x")
    assert [path.name for path in local_packs((tmp_path,))] == ["antelopev2", "buffalo_s", "another"]


def test_the_environment_names_the_model_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    assert runtime.face_model_dirs()[0] == tmp_path / "models"


def test_one_finder_serves_many_threads(opencv, astronaut):
    from concurrent.futures import ThreadPoolExecutor

    finder = FaceFinder(model_dirs=())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(finder.find, [astronaut] * 4))
    assert len({item.candidates for item in found}) == 1
