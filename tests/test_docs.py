"""Documents are tested: nothing public is missing, generated pages are fresh, examples run, links hold."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import anymask

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_EXAMPLES = [path for path in DOCS if BLOCK.search(path.read_text("utf-8"))]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
WEIGHTS = ROOT / "src" / "anymask" / "weights" / "lite.encoder.onnx"
weights_shipped = pytest.mark.skipif(not WEIGHTS.exists(), reason="no weights in this checkout")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("exported", sorted(anymask.__all__))
def test_an_exported_name_is_in_the_reference(exported: str) -> None:
    assert f"`{exported}" in (ROOT / "docs" / "api.md").read_text("utf-8")
    assert hasattr(anymask, exported)


def test_generated_pages_are_fresh(generate: ModuleType) -> None:
    stale = [name(path) for path, text in generate.pages().items() if path.read_text("utf-8") != text]
    assert not stale, f"run `make docs`: {stale}"


def test_every_setting_and_option_says_what_it_is_for(generate: ModuleType) -> None:
    lines = "\n".join(generate.pages().values()).splitlines()
    empty = [line for line in lines if line.endswith("|  |")]
    assert not empty


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_a_link_to_a_file_leads_somewhere(path: Path) -> None:
    targets = [target for target in LINK.findall(path.read_text("utf-8")) if "://" not in target]
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing


@weights_shipped
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name)
def test_the_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall(path.read_text("utf-8"))
    assert blocks
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:  # one after the other: later blocks use the names of earlier ones
        exec(compile(block, f"{path.name}: {block[:40]!r}", "exec"), scope)


def test_the_korean_readme_has_the_parts_of_the_english_one() -> None:
    texts = [(ROOT / n).read_text("utf-8") for n in ("README.md", "README.ko.md")]
    english, korean = [len(re.findall("^## ", text, re.MULTILINE)) for text in texts]
    assert english == korean
