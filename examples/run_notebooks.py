"""Runs the notebooks of this folder and stores their outputs in them, pictures as small JPEG files.

    python examples/run_notebooks.py [NOTEBOOK ...]     all of them unless named

Cells are run as Jupyter runs them: one after the other in one namespace, the value of a last expression is
shown. Needs nothing beside anymask; the notebooks themselves open in Jupyter as they are.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
LONG_SIDE, QUALITY = 900, 78
Output = dict[str, Any]


def run(cells: list[dict[str, Any]]) -> list[list[Output]]:
    """The outputs of each code cell, in order. Raises what a cell raises."""
    outputs: list[Output] = []
    scope: dict[str, Any] = {
        "__name__": "__main__",
        "display": lambda *values: outputs.extend(map(shown, values)),
    }
    answers = []
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        outputs.clear()
        printed = run_cell("".join(cell["source"]), scope, outputs)
        stream = (
            [{"output_type": "stream", "name": "stdout", "text": printed.splitlines(True)}] if printed else []
        )
        answers.append(stream + list(outputs))
    return answers


def run_cell(source: str, scope: dict[str, Any], outputs: list[Output]) -> str:
    """What the cell printed; what it showed is added to `outputs`."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), scope)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)
            outputs.extend([] if value is None else [shown(value)])
    return printed.getvalue()


def shown(value: Any) -> Output:
    data: dict[str, Any] = {
        "text/plain": [repr(value) if not isinstance(value, Image.Image) else "<picture>"]
    }
    if isinstance(value, Image.Image):
        data["image/jpeg"] = jpeg(value)
    return {"output_type": "display_data", "metadata": {}, "data": data}


def jpeg(picture: Image.Image) -> str:
    small, file = picture.convert("RGB"), io.BytesIO()
    small.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def store(path: Path) -> None:
    """Run the notebook at `path`, in its folder, and write it with its outputs."""
    notebook = json.loads(path.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, outputs) in enumerate(zip(code, run(notebook["cells"]), strict=True), 1):
        cell.update(execution_count=number, outputs=outputs)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb"))
    os.chdir(HERE)
    for path in chosen:
        store(path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
