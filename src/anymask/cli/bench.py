"""`anymask bench`: how fast it is on this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.reporting import complain, needs_extra, say
from anymask.errors import BadOption

bench = typer.Typer(help="How fast it is on this machine.", no_args_is_help=True)
PARTS = ("photos", "decoder", "many", "large")


@bench.callback()
def bench_root() -> None:
    """How fast it is on this machine."""


@bench.command()
def studio(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Photos to measure on; copies are used.")
    ] = Path("examples"),
    people: Annotated[
        int, typer.Option(metavar="N", min=0, help="Simulated people instead of a browser.")
    ] = 0,
    minutes: Annotated[float, typer.Option(metavar="M", help="That they work.")] = 10.0,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this: photos, decoder, many (5,000 masks), large (100 megapixels)."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option(help="Few runs, smaller photos: to see that it works.")] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="The numbers here instead of printing them.")
    ] = None,
) -> None:
    """Measure the studio: what a person waits for in a real browser, or many people at once.

    Starts the studio on copies of photos, drives the Chromium of this machine, and prints one JSON object
    with times, targets and the load of the machine. Nothing else should run on it.
    """
    wanted = part or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        raise BadOption(f"--part: expected {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    with needs_extra("studio"):
        from anymask.bench.measure import load_average, machine
        from anymask.bench.photos import photos_in

    sources = photos_in(folder)
    report: dict[str, Any] = {"machine": machine(), "load_average_before": load_average(), "quick": quick}
    with tempfile.TemporaryDirectory(prefix="anymask-bench-") as work:
        for measure in _measures(people, minutes, wanted, quick):
            report |= measure(sources, Path(work))
    text = json.dumps({**report, "load_average_after": load_average()}, indent=2)
    if json_ is None:
        say(text)
    else:
        json_.write_text(text + "\n", encoding="utf-8")


Measuring = Callable[[list[Path], Path], dict[str, Any]]


def _measures(people: int, minutes: float, parts: list[str], quick: bool) -> list[Measuring]:
    """Raises MissingExtra and Failure before anything is measured."""
    if people:
        from anymask.bench.people import measure_people

        return [lambda sources, work: measure_people(sources, work, people, minutes, complain)]
    with needs_extra("bench"):
        from anymask.bench import decoder, page
        from anymask.bench.browser import find_chromium
    find_chromium()
    table: dict[str, Measuring] = {
        "photos": lambda sources, work: page.measure_photos(sources, work, 5 if quick else 24, complain),
        "decoder": lambda sources, work: decoder.measure_decoder(sources, work, 5 if quick else 20, complain),
        "many": lambda sources, work: page.measure_many(
            sources, work, 300 if quick else 5_000, 3 if quick else 30, complain
        ),
        "large": lambda sources, work: page.measure_large(
            sources, work, 7_000 if quick else 10_000, complain
        ),
    }
    return [table[name] for name in PARTS if name in parts]
