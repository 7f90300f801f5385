"""A curve over rounds as SVG, without a plotting library: a few points with an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 160, 34, 20, 10


@dataclass(frozen=True, slots=True)
class Point:
    """`filled`: False draws it hollow."""

    round: int
    value: float
    filled: bool = True


def curve(points: Sequence[Point], stage_2: int | None = None) -> str:
    """At least one point. `stage_2`: the round with which stage 2 begins, marked by a broken line."""
    top = max(max(one.value for one in points), 1e-9)
    top = 1.0 if 0.5 < top <= 1 else top * 1.1
    first, last = points[0].round, max(points[-1].round, points[0].round + 1)

    def place(number: float, value: float) -> tuple[float, float]:
        x = LEFT + (number - first) / (last - first) * (WIDTH - LEFT - 10)
        return round(x, 1), round(HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP), 1)

    placed = [place(one.round, one.value) for one in points]
    line = " ".join(f"{x},{y}" for x, y in placed)
    dots = "".join(
        f'<circle class="{"point" if one.filled else "kept"}" cx="{x}" cy="{y}" r="3.5">'
        f"<title>round {one.round}: {one.value:.3g}</title></circle>"
        for one, (x, y) in zip(points, placed, strict=True)
    )
    marks = "".join(_level(place(first, level)[1], level) for level in (0, top / 2, top))
    rounds = "".join(
        f'<text x="{place(one.round, 0)[0]}" y="{HEIGHT - 4}" text-anchor="middle">{one.round}</text>'
        for one in points
    )
    border = "" if stage_2 is None or not first < stage_2 <= last else _border(place(stage_2 - 0.5, 0)[0])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{marks}{border}'
        f'<polyline class="curve" points="{line}"/>{dots}{rounds}</svg>'
    )


def _level(y: float, value: float) -> str:
    return (
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.2g}</text>'
    )


def _border(x: float) -> str:
    return f'<line class="stage" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
