"""Documents are tested: nothing public is missing, generated pages are fresh, examples run, links hold."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

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


def script(path: str) -> ModuleType:
    """A script outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return script("docs/generate.py")


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


NAMED_FILE = re.compile(r"`([\w-]+(?:/[\w-]+)*/[\w-]+\.(?:py|sh))`")
HISTORY = ROOT / "docs" / "experiments"  # of code as it was then


@pytest.mark.parametrize("path", [path for path in DOCS if path.parent != HISTORY], ids=name)
def test_a_file_that_is_named_exists(path: Path) -> None:
    named = NAMED_FILE.findall(path.read_text("utf-8"))
    missing = [
        file for file in named if not any((at / file).exists() for at in (ROOT, ROOT / "src" / "anymask"))
    ]
    assert not missing


@weights_shipped
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name)
def test_the_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall(path.read_text("utf-8"))
    assert blocks
    if any("anymask.engine" in block for block in blocks):
        pytest.importorskip("sqlalchemy")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:  # one after the other: later blocks use the names of earlier ones
        exec(compile(block, f"{path.name}: {block[:40]!r}", "exec"), scope)


NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def pictures(outputs: list[dict[str, Any]]) -> list[str]:
    return [o["data"]["image/jpeg"] for o in outputs if "image/jpeg" in o.get("data", {})]


@weights_shipped
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_runs_and_holds_its_pictures(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")
    stored = [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]
    outputs = script("examples/run_notebooks.py").run(cells)
    assert [len(pictures(o)) for o in outputs] == [len(pictures(o)) for o in stored]
    assert sum(map(len, map(pictures, stored))) >= 4
    assert max(len(picture) for o in stored for picture in pictures(o)) < 200_000  # 150 KB, in base64
    assert path.stat().st_size < 1_000_000


README, KOREAN = ((ROOT / file).read_text("utf-8") for file in ("README.md", "README.ko.md"))


def code_lines(markdown: str) -> list[str]:
    """Lines of code without their comments, the tree of folders left out."""
    shell = re.findall(r"^    ((?:make|pip|anymask) .*)$", markdown, re.MULTILINE)
    lines = [*shell, *"".join(BLOCK.findall(markdown)).splitlines()]
    return [line.split("#")[0].rstrip() for line in lines]


def numbers(markdown: str) -> Counter[str]:
    return Counter(re.findall(r"\d[\d.,]*(?<![.,])", markdown))


def test_both_readmes_have_the_same_parts() -> None:
    english, korean = (len(re.findall("^## ", text, re.MULTILINE)) for text in (README, KOREAN))
    assert english == korean


def test_both_readmes_have_the_same_code() -> None:
    assert code_lines(README) == code_lines(KOREAN)
    assert len(code_lines(README)) > 15


def test_both_readmes_have_the_same_numbers() -> None:
    assert numbers(README) == numbers(KOREAN)
    assert "0.858" in numbers(README)


def test_numbers_of_the_readme_are_those_of_the_card() -> None:
    results = json.loads((WEIGHTS.parent / "lite.json").read_text("utf-8"))["results"]
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in README.splitlines()
        if len(cells := line.split("|")) > 3
    }
    shown = {
        "GrabCut, IoU after 1 click": results["grabcut"]["iou_at_1"],
        "GrabCut, clicks to IoU 0.90 (NoC@90)": results["grabcut"]["noc_90"],
        "DAVIS, IoU after 1 click": results["davis"]["iou_at_1"],
        "DAVIS, NoC@85": results["davis"]["noc_85"],
        "DAVIS, NoC@90": results["davis"]["noc_90"],
        "COCO, IoU after 1 click": results["coco_clicks"]["iou_at_1"],
        "COCO, IoU from the box": results["coco_boxes"]["miou"],
        "BSDS500 edges, ODS": results["edges"]["ods"],
        "COCO, everything: AR@100": results["proposals"]["default"]["ar_at_100"],
    }
    assert {name: float(rows[name]) for name in shown} == {
        name: round(value[0], len(rows[name].partition(".")[2])) for name, value in shown.items()
    }


def test_the_card_of_the_recipe_is_on_the_shipped_one() -> None:
    shipped, recipe = (
        json.loads(path.read_text("utf-8"))
        for path in (WEIGHTS.parent / "lite.json", ROOT / "recipes" / "lite.card.json")
    )
    assert {key: shipped[key] for key in recipe} == recipe


EXPERIMENTS = sorted(path for path in (ROOT / "docs" / "experiments").glob("*.md") if path.stem != "README")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_listed_with_its_title(path: Path) -> None:
    title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    listed = (ROOT / "docs" / "experiments" / "README.md").read_text("utf-8")
    assert f"- {path.name[:10]} - [{title}]({path.name})" in listed
