"""Building a pack from tiny files in MakeHuman's formats, and opening it."""

import json

import cv2
import numpy as np
import pytest

from letstalk.errors import InputError, MissingAssetError
from letstalk.synthetic.people.assets import NUM_BASE_VERTICES, default_pack_path, load_assets
from letstalk.synthetic.people.makehuman_files import read_clothes, read_obj, read_target, stated_licence
from letstalk.synthetic.people.pack_builder import build_pack

CC0 = "# This asset was explicitly released as CC0 in september 2020.\n# It was AGPL before.\n"
AGPL = "# This file is licensed AGPLv3\n"
PROXIES = {
    "hair/short09": "short09", "eyebrows/eyebrow001": "eyebrow001", "eyelashes/eyelashes01": "eyelashes01",
    "eyes/low-poly": "low-poly", "teeth/teeth_base": "teeth_base", "tongue/tongue01": "tongue01",
    "clothes/female_plainsuit01": "female_plainsuit01", "hair/afro01": "afro01",
}  # fmt: skip


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_picture(path, size=24, alpha=None):
    rng = np.random.default_rng(5)
    picture = cv2.resize(rng.integers(0, 255, (4, 4, 3), np.uint8), (size, size))
    if alpha is not None:
        picture = np.dstack([picture, np.full((size, size), alpha, np.uint8)])
        picture[0, 0, 3] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def write_proxy(folder, name, header=CC0):
    write(
        folder / f"{name}.mhclo",
        f"{header}name {name}\nobj_file {name}.obj\nx_scale 0 3 2.0\ny_scale 0 3 4.0\nz_scale 0 3 2.0\n"
        f"material {name}.mhmat\n"
        "verts 0\n 0 1 2 0.5 0.25 0.25 0.1 0.2 0.3\n7\n2 1 0 0.2 0.3 0.5 0.0 0.0 0.1\ndelete_verts\n3 - 5 9\n",
    )
    write(folder / f"{name}.obj", f"{header}v 0 2 0\nv 1 2 0\nv 0 3 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    write(folder / f"{name}.mhmat", f"{header}name {name}\ndiffuseTexture {name}.png\n")
    write_picture(folder / f"{name}.png", alpha=200)


@pytest.fixture
def checkouts(tmp_path):
    """Two folders laid out like the public repositories."""
    program, assets = tmp_path / "makehuman", tmp_path / "makehuman-assets"
    data = program / "makehuman" / "data"
    write(program / "LICENSE.md", "Code: AGPL. Assets: released under CC0 1.0 Universal.\n")
    write(assets / "README.md", "Released under Creative Commons CC0 universal.\n")
    rng = np.random.default_rng(0)
    points = rng.uniform([-1, 2, -1], [1, 8, 1], (NUM_BASE_VERTICES, 3))
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in points]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "g body", "f 1/1 2/2 3/3 4/4", "g helper-hair", "f 5/1 6/2 7/3"]
    write(data / "3dobjs" / "base.obj", CC0 + "\n".join(lines) + "\n")
    weights = {
        "head": [[0, 0.5], [1, 1.0]],
        "spine": [[0, 0.5], [2, 1.0]],
        "upperarm01.L": [[3, 0.4]],
        "hand.L": [[3, 0.2]],
    }
    write(data / "rigs" / "default_weights.mhw", json.dumps({"license": "CC0", "weights": weights}))
    bones = {
        "spine": {},
        "head": {"parent": "spine"},
        "upperarm01.L": {"parent": "spine"},
        "hand.L": {"parent": "upperarm01.L"},
    }
    write(data / "rigs" / "default.mhskel", json.dumps({"license": "CC0", "bones": bones}))
    write(
        data / "targets" / "macrodetails" / "caucasian-male-young.target", CC0 + "2 0.5 -0.25 1\n0 .25 0 0\n900 1 1 1\n"
    )
    write(data / "targets" / "nose" / "nose-hump-incr.target", CC0 + "1 0 .125 0\n")
    write(data / "targets" / "mouth" / "mouth-odd-incr.target", AGPL + "1 0 .125 0\n")
    for folder, name in PROXIES.items():
        write_proxy(assets / "base" / folder, name)
    write_picture(assets / "base" / "skins" / "textures" / "young_lightskinned_male_diffuse.png", size=32)
    return program, assets


def test_built_pack_opens_and_holds_what_the_files_say(checkouts, tmp_path):
    report = build_pack(*checkouts, tmp_path / "pack.npz")
    pack = load_assets(tmp_path / "pack.npz")
    index, delta = pack.targets["macrodetails/caucasian-male-young"]
    assert index.tolist() == [0, 2], "a vertex that nothing uses is cut away, the rest is sorted"
    np.testing.assert_allclose(delta, [[0.25, 0, 0], [0.5, -0.25, 1]])
    assert pack.body.triangles.tolist() == [[0, 1, 2], [0, 2, 3]], "a quad becomes a fan, helpers stay out"
    proxy = pack.proxies["lowpoly"]
    assert proxy.delete.tolist() == [3, 4, 5, 9]
    base = pack.base_vertices
    size = np.abs(base[0] - base[3]) / [2, 4, 2]
    expected = 0.5 * base[0] + 0.25 * base[1] + 0.25 * base[2] + size * [0.1, 0.2, 0.3]
    np.testing.assert_allclose(proxy.fit(base)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(proxy.fit(base)[1], base[7], rtol=1e-6)
    assert pack.texture("short09")[..., 3].min() == 0
    assert pack.texture("short09")[5, 5, 3] == 200
    assert "short09" in report.taken


def test_weights_are_normalised_and_follow_the_skeleton(checkouts, tmp_path):
    build_pack(*checkouts, tmp_path / "pack.npz")
    pack = load_assets(tmp_path / "pack.npz")
    np.testing.assert_allclose(pack.head_weight[:4], [0.5, 1, 0, 0], atol=1e-3)
    assert pack.arm_weight["L"][3] == 1, "0.4 + 0.2 of nothing else is a whole arm"
    assert not pack.arm_weight["R"].any()


def test_what_is_not_cc0_stays_out_and_is_reported(checkouts, tmp_path):
    program, assets = checkouts
    write_proxy(assets / "base" / "hair" / "curly", "curly", AGPL)
    report = build_pack(program, assets, tmp_path / "pack.npz")
    pack = load_assets(tmp_path / "pack.npz")
    assert "curly" not in pack.proxies
    assert "another licence" in report.refused["curly"]
    assert "mouth/mouth-odd-incr" in report.refused
    assert "mouth/mouth-odd-incr" not in pack.targets


def test_four_assets_are_never_taken_even_with_a_cc0_header(checkouts, tmp_path):
    report = build_pack(*checkouts, tmp_path / "pack.npz")
    assert "afro01" in report.refused
    assert "afro01" not in load_assets(tmp_path / "pack.npz").proxies


def test_a_base_mesh_under_another_licence_stops_the_build(checkouts, tmp_path):
    program, assets = checkouts
    base = program / "makehuman" / "data" / "3dobjs" / "base.obj"
    base.write_text(AGPL + base.read_text().removeprefix(CC0))
    with pytest.raises(InputError, match="another licence"):
        build_pack(program, assets, tmp_path / "pack.npz")
    assert not (tmp_path / "pack.npz").exists()


def test_silent_headers_need_the_statement_of_their_repository(checkouts, tmp_path):
    program, assets = checkouts
    (assets / "README.md").write_text("No word about it.\n")
    write_proxy(assets / "base" / "hair" / "plain", "plain", "# a mesh\n")
    with pytest.raises(InputError, match="skin textures"):
        build_pack(program, assets, tmp_path / "pack.npz")


def test_lfs_pointers_are_named(checkouts, tmp_path):
    program, assets = checkouts
    pointer = assets / "base" / "hair" / "short09" / "short09.png"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="LFS"):
        build_pack(program, assets, tmp_path / "pack.npz")


def test_building_twice_gives_the_same_bytes(checkouts, tmp_path):
    build_pack(*checkouts, tmp_path / "a.npz")
    build_pack(*checkouts, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_missing_pack_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LETSTALK_CACHE", str(tmp_path))
    assert default_pack_path().parent == tmp_path / "assets"
    with pytest.raises(MissingAssetError) as error:
        load_assets()
    assert "--assets FILE" in str(error.value)
    assert "letstalk synth assets --makehuman DIR --makehuman-assets DIR" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn", b"\x93NUMPY", b"# A heading"])
def test_foreign_files_are_refused(tmp_path, content):
    file = tmp_path / "pack.npz"
    file.write_bytes(content)
    with pytest.raises(InputError, match="is not an asset pack") as error:
        load_assets(file)
    assert "pickle" not in str(error.value), "nobody is to load it unsafely"


def test_a_pack_of_a_later_format_is_refused(checkouts, tmp_path):
    build_pack(*checkouts, tmp_path / "pack.npz")
    with np.load(tmp_path / "pack.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(arrays["meta"].tobytes()) | {"format": 99}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(tmp_path / "later.npz", **arrays)
    with pytest.raises(InputError, match="format 99"):
        load_assets(tmp_path / "later.npz")


def test_parsers_name_the_broken_file(tmp_path):
    write(tmp_path / "bad.target", "1 0.1 oops 0\n")
    write(tmp_path / "bad.obj", "v 0 0 0\nf 1 x 2\n")
    write(tmp_path / "bad.mhclo", "name nothing\n")
    for reader, name in ((read_target, "bad.target"), (read_obj, "bad.obj"), (read_clothes, "bad.mhclo")):
        with pytest.raises(InputError, match=name):
            reader(tmp_path / name)


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        (CC0, "CC0"),
        (AGPL, "other"),
        ("# license: CC-BY 4.0\n", "other"),
        ("# license CC0\n", "CC0"),
        ("v 0 0 0\n", "none"),
    ],
)
def test_licence_of_a_header(tmp_path, header, licence):
    write(tmp_path / "x.obj", header + "v 0 0 0\n")
    assert stated_licence(tmp_path / "x.obj") == licence
