"""The shape of the code: short functions, short files, a docstring that says what each module knows."""

from __future__ import annotations

import ast
import subprocess
import sys
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
    long = {f: n for f, n in lengths.items() if n > MAX_FUNCTION}
    assert not long, f"{name(path)}: functions over {MAX_FUNCTION} lines: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_knows(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{name(path)} has no docstring"


def test_without_the_extras_the_core_imports_and_segments() -> None:
    """In a process where no extra can be imported."""
    needs_extras = ("anymask.model", "anymask.training", "anymask.evaluation", "anymask.compat")
    needs_extras += tuple(
        f"anymask.inference.{name}" for name in ("export", "torch_backend", "openvino_backend")
    )
    code = f"""
import importlib, pkgutil, sys
for extra in ("torch", "cv2", "onnx", "onnxscript", "openvino", "safetensors", "tensorboard", "tifffile"):
    sys.modules[extra] = None
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
