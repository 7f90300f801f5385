"""From `pip install` to the first accepted mask: what a newcomer waits for, in seconds.

    python benchmarks/first_use.py PHOTOS [--json FILE]

Builds the wheel first, which is not counted: it stands for the published one. What a person takes to read, to
choose and to move the hand comes on top. Needs Chromium and the built page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from anymask.bench.browser import MIDDLE_XY, visit
from anymask.bench.measure import load_average, machine
from anymask.bench.server import StudioServer
from anymask.cli.reporting import say

ROOT = Path(__file__).parents[1]


def main(photos: Path, json_file: Annotated[Path | None, typer.Option("--json")] = None) -> None:
    """Prints the seconds of each part and of all."""
    with tempfile.TemporaryDirectory() as folder:
        python = _fresh_environment(Path(folder))
        wheel = _wheel(Path(folder))
        parts = {"install": _seconds(lambda: _pip(python, "install", "--quiet", f"{wheel}[studio]"))}
        server = StudioServer(photos)
        server.python = str(python)
        try:
            parts["studio started"] = _seconds(server.start)
            parts |= _first_mask(server)
        finally:
            server.stop()
    whole = round(sum(parts.values()), 1)
    say(", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items()) + f": {whole} s")
    if json_file is not None:
        told = {"seconds": parts, "whole": whole, "load": load_average(), "machine": machine()}
        json_file.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def _fresh_environment(folder: Path) -> Path:
    venv.create(folder / "venv", with_pip=True)
    return folder / "venv" / "bin" / "python"


def _wheel(folder: Path) -> Path:
    _pip(Path(sys.executable), "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("anymask-*.whl")
    return found


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([str(python), "-m", "pip", *arguments], check=True)


def _first_mask(server: StudioServer) -> dict[str, float]:
    """Opens the first photo, clicks its middle, keeps what is offered."""
    begun = time.perf_counter()
    with visit(server) as visitor:
        parts = {"page opened": time.perf_counter() - begun}
        first = visitor.photos()[0]
        parts["photo opened"] = _seconds(lambda: visitor.open(first))
        visitor.page.mouse.move(*MIDDLE_XY)
        visitor.page.mouse.down()
        times = visitor.timed("pointerup", visitor.page.mouse.up, "refined")
        parts["mask offered"] = times["refined"] / 1_000
        saved = visitor.timed("keydown", lambda: visitor.press("Enter"), "saved")
        parts["mask saved"] = saved["saved"] / 1_000
        masks = visitor.masks(first)
        assert len(masks) == 1, masks
    return parts


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return round(time.perf_counter() - begun, 2)


if __name__ == "__main__":
    typer.run(main)
