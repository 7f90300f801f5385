"""Encode, decode, cold start and peak memory, and the same of peers in the same run.

    python benchmarks/bench.py model [PHOTO]
    python benchmarks/bench.py everything [PHOTO]

Every number comes from a process of its own, so that nothing is warm that a user would not find warm. This
process stays small: a child's peak memory as the system counts it starts from its parent's.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.options import AsJson, BackendName, ModelName
from anymask.cli.reporting import complain, say
from anymask.errors import BadOption, Failure

CHECKOUT = Path(__file__).resolve().parents[1]
TIMING = CHECKOUT / "benchmarks" / "timing.py"
PEERS_SCRIPT = CHECKOUT / "benchmarks" / "peers.py"
PEERS = ("segment-anything vit_b", "mobile_sam")
DEFAULT_PHOTO = CHECKOUT / "examples" / "raccoon.jpg"
COLD_BUDGET_SECONDS = 30.0
Row = dict[str, Any]


bench = typer.Typer(name="bench", no_args_is_help=True, help="Time and memory, beside published code.")


@bench.command("model")
def bench_model(
    photo: Annotated[
        Path | None, typer.Argument(metavar="[PHOTO]", help="Default: an example photo of the checkout.")
    ] = None,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    point: Annotated[
        str | None, typer.Option(metavar="X,Y", help="Where to click; default: the middle.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs per number; slow peers do fewer.")
    ] = 100,
    cold: Annotated[int, typer.Option(metavar="N", min=1, help="Fresh processes per number.")] = 5,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Also time the peers that are installed.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Time a model, and peers beside it: encode, decode one point, process start to mask written, memory.

    Peers are the published code of segment-anything (ViT-B) and MobileSAM with random weights, on torch;
    they are timed in a checkout where these packages are installed. Ratios are times of the model.
    """
    target = _target(photo, point)
    rows = [_own_row(model, backend, target, repeats, cold)]
    for peer in PEERS if peers else ():
        rows += _peer_row(peer, target, repeats, cold)
    report = {"photo": target.photo.name, "point": [target.x, target.y], **machine(), "rows": rows}
    say(json.dumps(report) if as_json else table(report))


@dataclass(frozen=True, slots=True)
class Target:
    photo: Path
    x: float
    y: float

    @property
    def point(self) -> str:
        return f"{self.x:g},{self.y:g}"


def _target(photo: Path | None, point: str | None) -> Target:
    photo = photo or DEFAULT_PHOTO
    if not photo.exists():
        raise BadOption(f"{photo} does not exist; give a photo")
    if point is None:
        width, height = _size_wh(photo)
        return Target(photo, width // 2, height // 2)
    from anymask.cli.parsing import parse_point

    parsed = parse_point(point)
    return Target(photo, parsed.x, parsed.y)


def _size_wh(photo: Path) -> tuple[int, int]:
    """Asked of another process, so that this one stays small."""
    code = "import sys; from anymask import read_image; print(*read_image(sys.argv[1]).shape[1::-1])"
    width, height = run([sys.executable, "-c", code, str(photo)]).output.split()
    return int(width), int(height)


def _own_row(model: str, backend: str, target: Target, repeats: int, cold: int) -> Row:
    place = [str(target.photo), str(target.x), str(target.y)]
    times = run([sys.executable, str(TIMING), model, backend, *place, str(repeats)])
    row: Row = {"name": f"anymask {model} ({backend})", **json.loads(times.output)}
    with tempfile.TemporaryDirectory() as folder:
        row |= cold_start([*_segment_command(model, backend, target.point, folder), str(target.photo)], cold)
        large = Path(folder) / "large.jpg"
        code = f"import sys; sys.path.insert(0, {str(TIMING.parent)!r}); import timing; "
        code += "timing.enlarge(*sys.argv[1:3], (4000, 3000))"
        run([sys.executable, "-c", code, str(target.photo), str(large)])
        again = run([*_segment_command(model, backend, "2000,1500", folder), str(large)])
    return row | {"peak_mb_12_megapixels": again.peak_mb}


def _segment_command(model: str, backend: str, point: str, folder: str) -> list[str]:
    options = ["--point", point, "--model", model, "--backend", backend, "--out", folder]
    return [sys.executable, "-m", "anymask", "segment", *options]


def _peer_row(peer: str, target: Target, repeats: int, cold: int) -> list[Row]:
    """One row, or none where the peer cannot run here."""
    if not PEERS_SCRIPT.exists():
        complain(f"{peer}: not timed, benchmarks/ is not here")
        return []
    place = [peer, str(target.photo), str(target.x), str(target.y)]
    try:
        times = run([sys.executable, str(PEERS_SCRIPT), "time", *place, str(repeats)])
        with tempfile.TemporaryDirectory() as folder:
            mask = str(Path(folder) / "mask.png")
            started = cold_start([sys.executable, str(PEERS_SCRIPT), "cold", *place, mask], cold)
    except Failure as error:
        complain(f"{peer}: not timed, {error}")
        return []
    return [{"name": f"{peer} (torch)", **json.loads(times.output), **started}]


def cold_start(command: Sequence[str], repeats: int) -> Row:
    """Median seconds and largest peak of fresh processes, fewer once half a minute is spent."""
    runs: list[Run] = []
    while len(runs) < repeats and sum(r.seconds for r in runs) < COLD_BUDGET_SECONDS:
        runs.append(run(command))
    return {
        "cold_start_s": round(statistics.median(r.seconds for r in runs), 2),
        "peak_mb": max(r.peak_mb for r in runs),
    }


@dataclass(frozen=True, slots=True)
class Run:
    output: str
    seconds: float
    peak_mb: int


def run(command: Sequence[str]) -> Run:
    """Run a process to its end. Raises Failure with the last line it said when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        peak_mb = _wait(process)
        seconds = time.perf_counter() - started
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise Failure(lines[-1] if lines else f"exit code {process.returncode}")
        return Run(output.read().decode(), seconds, peak_mb)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Peak memory of the process in MB; 0 where the system does not tell (Windows)."""
    if not hasattr(os, "wait4"):
        process.wait()
        return 0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return round(usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))


def machine() -> Row:
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {"cores": os.cpu_count(), "load_average": load, "python": platform.python_version()}


COLUMNS: tuple[tuple[str, Callable[[Row], float]], ...] = (
    ("encode ms", lambda r: r["encode_ms"]["p50"]),
    ("decode ms", lambda r: r["decode_ms"]["p50"]),
    ("decode p95", lambda r: r["decode_ms"]["p95"]),
    ("click ms", lambda r: r["click_ms"]["p50"]),
    ("cold start s", lambda r: r["cold_start_s"]),
    ("peak MB", lambda r: r["peak_mb"]),
)


def table(report: Row) -> str:
    """Numbers, and in brackets how many times those of the first row they are."""
    rows = report["rows"]
    width = max(len(r["name"]) for r in rows) + 2
    lines = [
        f"{report['photo']}, point {report['point'][0]:g},{report['point'][1]:g}; {report['cores']} cores, "
        f"load {report['load_average']}; medians; in brackets: times the first row",
        " " * width + "".join(f"{name:>17}" for name, _ in COLUMNS),
    ]
    for row in rows:
        cells = (_cell(value(row), value(rows[0]), row is rows[0]) for _, value in COLUMNS)
        lines.append(f"{row['name']:<{width}}" + "".join(cells))
    lines.append(f"peak with a photo of 12 megapixels: {rows[0]['peak_mb_12_megapixels']} MB")
    lines.append("decode: one point to low-resolution masks. click: one point to a mask of the photo's size.")
    lines.append(
        "cold start: process start to mask written. Peers: published code, random weights, no file read."
    )
    return "\n".join(lines)


def _cell(value: float, first: float, is_first: bool) -> str:
    ratio = "" if is_first or not first else f" ({value / first:.1f}x)"
    return f"{value:>{17 - len(ratio)}g}{ratio}"


def main() -> None:
    from bench_everything import bench_everything

    bench.command("everything")(bench_everything)
    bench(prog_name="bench.py")


if __name__ == "__main__":
    main()
