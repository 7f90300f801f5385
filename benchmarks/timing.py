"""What `bench.py` runs in a process of its own: the times of one loaded model. Prints one JSON object.

    python benchmarks/timing.py NAME BACKEND PHOTO X Y REPEATS

Also the small tools that benchmarks of peers use: repeat, sum up. Imports nothing heavy by itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

BUDGET_SECONDS = 20.0


def repeat(action: Callable[[], object], repeats: int, budget_seconds: float = BUDGET_SECONDS) -> list[float]:
    """Milliseconds of up to `repeats` runs, after one that is not counted; fewer once the budget is spent."""
    action()
    times: list[float] = []
    end = time.perf_counter() + budget_seconds
    while len(times) < repeats and (not times or time.perf_counter() < end):
        started = time.perf_counter()
        action()
        times.append((time.perf_counter() - started) * 1000)
    return times


def summary(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank) and how many runs they are of."""
    ordered = sorted(times)
    return {"p50": rank(ordered, 0.5), "p95": rank(ordered, 0.95), "runs": len(ordered)}


def rank(ordered: Sequence[float], share: float) -> float:
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 2)


def time_model(
    name: str, backend: str, photo: str, point_xy: tuple[float, float], repeats: int
) -> dict[str, object]:
    """encode: pixels to embedding. decode: one point to low-resolution candidates. click: one point to a
    mask."""
    from anymask.api import load
    from anymask.images.reader import read_image

    started = time.perf_counter()
    model = load(name, backend=backend)
    loaded = (time.perf_counter() - started) * 1000
    pixels = read_image(photo)
    image = model.encode(pixels)
    return {
        "load_ms": round(loaded, 1),
        "encode_ms": summary(repeat(lambda: model.encode(pixels), repeats)),
        "decode_ms": summary(repeat(lambda: image.segment(points=[point_xy]), repeats)),
        "click_ms": summary(repeat(lambda: image.segment(points=[point_xy]).best.mask, repeats)),
    }


def enlarge(photo: str, out: str, size_wh: tuple[int, int]) -> None:
    """A larger copy of a photo, as JPEG."""
    from PIL import Image

    Image.open(photo).convert("RGB").resize(size_wh).save(out, "JPEG", quality=90)


if __name__ == "__main__":
    name, backend, photo, x, y, repeats = sys.argv[1:]
    print(json.dumps(time_model(name, backend, photo, (float(x), float(y)), int(repeats))))
