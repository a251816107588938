"""Who may import whom, no work at import, and calls that must not appear. Read from the source by `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "letstalk"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What each part may import inside letstalk. A part is the first name below `letstalk`; parts of one layer do not see
# each other.
LAYER_0 = {"types", "errors", "version"}
LAYER_1 = LAYER_0 | {"settings", "runtime"}
MAY_IMPORT: dict[str, set[str]] = {
    "version": set(),
    "errors": set(),
    "types": set(),
    "runtime": LAYER_0,
    "settings": LAYER_0 | {"runtime"},
    "media": LAYER_1 | {"media"},
    "synthetic": LAYER_1 | {"synthetic"},
    "reader": LAYER_1 | {"reader"},
    "models": LAYER_1 | {"models", "reader"},  # the encoder looks through networks of the reader
    "flow": LAYER_1 | {"flow"},
    "longform": LAYER_1 | {"longform"},
    "training": LAYER_1 | {"training", "models", "flow", "longform", "synthetic"},
    "evaluation": LAYER_1 | {"evaluation", "media", "models", "reader", "synthetic"},
    "engine": LAYER_1 | {"engine", "media", "models", "flow", "longform"},
    "pipeline": LAYER_1 | {"engine", "media", "models", "flow", "longform"},
    "doctor": LAYER_1 | {"media", "synthetic", "reader"},
    "probe": LAYER_1 | {"media", "reader"},
}
# Above the layers: these wire everything together, inside functions.
WIRING = {"__init__", "__main__", "cli", "cli_synth", "cli_reader", "cli_train", "cli_evaluate", "cli_generate", "demo"}

# A function may reach across a border where the table says so; nothing at the top of a module may.
LAZY_EXTRA: dict[str, set[str]] = {
    "synthetic": {"media"},  # writes videos with the one VideoWriter, reads sound with the one decoder
    "reader": {"synthetic", "media"},  # trains on rendered people, looks at pictures
    "pipeline": {"reader"},  # finds the face in a picture
    "training": {"reader"},  # asks it what decoded pictures show
}

# Third-party borders: the only parts that may import these.
BORDERS: dict[str, set[str]] = {
    "gradio": {"ui"},
    "typer": {"cli", "cli_synth", "cli_reader", "cli_train", "cli_evaluate", "cli_generate"},
    "av": {"media"},
    "pydantic": {"settings"},
    "yaml": {"settings"},
    "insightface": {"media"},
    "imageio_ffmpeg": set(),
}
# Inside the generator too: who is seen, how, what is heard and how they move; `data` makes clips of it all.
SYNTHETIC_SHARED = {"controls", "person", "split", "visemes"}
SYNTHETIC_MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(SYNTHETIC_SHARED, SYNTHETIC_SHARED),
    "pictures": SYNTHETIC_SHARED | {"pictures"},
    "people": SYNTHETIC_SHARED | {"people", "pictures"},
    "voice": SYNTHETIC_SHARED | {"voice"},
    "acting": SYNTHETIC_SHARED | {"acting", "voice"},
    "data": SYNTHETIC_SHARED | {"data", "people", "pictures", "voice", "acting"},
}

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "gradio",
    "librosa",
    "cv2",
    "av",
    "numba",
    "skimage",
    "insightface",
    "scipy",
)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        if node.module == "letstalk":
            return [f"letstalk.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def walk(tree: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    """Nodes of a module without those that only type checkers see; with or without function bodies."""
    for child in ast.iter_child_nodes(tree):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        yield child
        yield from walk(child, inside_functions=inside_functions)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_imports_point_downwards(path: Path) -> None:
    part, tree = part_of(path), parsed(path)
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{identify(path)}:{node.lineno}: name it in full"
    if part in WIRING:
        return
    assert part in MAY_IMPORT, f"{part} has no line in MAY_IMPORT: decide what it may see"
    for inside_functions in (False, True):
        allowed = MAY_IMPORT[part] | (LAZY_EXTRA.get(part, set()) if inside_functions else set())
        for node in walk(tree, inside_functions=inside_functions):
            for name in imported_names(node):
                if name.startswith("letstalk."):
                    target = name.split(".")[1]
                    assert target in allowed, f"{identify(path)}:{node.lineno} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "synthetic").rglob("*.py")), ids=identify)
def test_the_generator_has_layers_of_its_own(path: Path) -> None:
    part = path.relative_to(PACKAGE / "synthetic").parts[0].removesuffix(".py")
    for node in walk(parsed(path), inside_functions=True):
        for name in imported_names(node):
            if name.startswith("letstalk.synthetic."):
                assert name.split(".")[2] in SYNTHETIC_MAY_IMPORT[part], (
                    f"{identify(path)}:{node.lineno} imports {name}"
                )


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_third_party_borders(path: Path) -> None:
    for node in walk(parsed(path), inside_functions=True):
        for name in imported_names(node):
            owners = BORDERS.get(name.split(".")[0])
            assert owners is None or part_of(path) in owners, f"{identify(path)}:{node.lineno} imports {name}"


FORBIDDEN_CALLS = {
    "os.system": "use subprocess with a list",
    "os.popen": "use subprocess with a list",
    "torch.load": "use safetensors",
    "np.random.seed": "use runtime.numpy_generator",
    "np.random.rand": "use runtime.numpy_generator",
    "np.random.randn": "use runtime.numpy_generator",
    "random.seed": "use runtime.numpy_generator",
    "torch.manual_seed": "use runtime.torch_generator",
    "sys.path.append": "install the package instead",
    "sys.path.insert": "install the package instead",
    "eval": "parse instead",
    "exec": "write a function instead",
}


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_no_forbidden_calls(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        where = f"{identify(path)}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Global), f"{where} uses global"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where} has a bare except"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in FORBIDDEN_CALLS, f"{where} calls {name}: {FORBIDDEN_CALLS[name]}"
            assert not (name == "print" and part_of(path) not in WIRING), f"{where} prints; only the cli prints"
            assert not name.endswith(".cuda"), f"{where} moves to CUDA by hand; the device is an argument"
            shell = [word for word in node.keywords if word.arg == "shell"]
            assert not shell, f"{where} starts a shell; use a list of arguments"
        if isinstance(node, ast.Constant) and node.value == "cuda":
            assert part_of(path) == "runtime", f"{where} names cuda; only runtime.py knows devices"


# Calls that read or change the world, by their last name. At module level they make every import of the package pay.
WORK = {
    *("open", "read_text", "read_bytes", "write_text", "load", "imread", "print"),
    *("glob", "rglob", "iterdir", "exists", "is_file", "is_dir", "stat", "mkdir"),
    *("run", "Popen", "system", "Thread", "urlopen", "sleep", "getenv"),
}


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_modules_do_nothing_at_import(path: Path) -> None:
    """At module level: definitions, constants and imports. No loops over files, no model, no folder made."""
    for node in parsed(path).body:
        if isinstance(node, ast.Expr):
            is_docstring = isinstance(node.value, ast.Constant)
            assert is_docstring, f"{identify(path)}:{node.lineno} does something at import: {ast.unparse(node)}"
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Delete), (
            f"{identify(path)}:{node.lineno} works at import"
        )
    for node in walk(parsed(path), inside_functions=False):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name.split(".")[-1] not in WORK, f"{identify(path)}:{node.lineno} calls {name} at import"
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ"), (
            f"{identify(path)}:{node.lineno} reads the environment at import"
        )


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 450, "look for the second idea inside"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 80, f"{identify(path)}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        # What this loads decides how fast `letstalk --help` answers (see benchmarks/startup.py).
        ("import letstalk.cli; letstalk.cli.complete_app()", set()),
        ("import letstalk.media.face, letstalk.media.image, letstalk.media.paste, letstalk.settings", set()),
        ("import letstalk.media.audio, letstalk.media.video, letstalk.media.video_reader", {"av"}),
    ],
)
def test_importing_loads_nothing_heavy(code: str, allowed: set[str]) -> None:
    code = f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(HEAVY) & set(loaded) == allowed


def test_every_package_is_installed() -> None:
    """pyproject lists the packages by name (two of them live at the top of the checkout): a new one must be added.

    None is empty: git carries no empty folder, and a clone without it cannot be installed.
    """
    import tomllib

    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = set(setup["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert found <= listed, sorted(found - listed)
    for name in listed:
        folder = ROOT / setup["package-dir"].get(name, name.replace(".", "/"))
        assert any(path.is_file() for path in folder.rglob("*")), f"{folder} is empty"


def test_dependencies_are_pinned_as_the_traps_demand() -> None:
    import importlib.metadata

    assert importlib.metadata.version("opencv-python").startswith("4."), "OpenCV 5 has no cascade classifier"
    assert int(importlib.metadata.version("pillow").split(".")[0]) < 12, "moviepy cannot use pillow 12"
    assert tuple(map(int, importlib.metadata.version("pydantic").split(".")[:2])) <= (2, 12), (
        "the MCP extra needs <= 2.12.5"
    )
