"""Previews decoded in the browser, on a line that is made slow: how long starting and answering take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from anymask.bench.browser import Visitor, visit
from anymask.bench.measure import Measure
from anymask.bench.photos import write_variants
from anymask.bench.server import running
from anymask.errors import Failure

DECODED_MS = 150.0
LATENCY_MS = 400  # of the line
WARM_UP = 6  # previews, until the page has noticed
LONGEST_S = 60
Say = Callable[[str], None]


def measure_decoder(sources: list[Path], folder: Path, runs: int, say: Say) -> dict[str, Any]:
    """A fresh page for each start; `runs` previews by each."""
    say("decoding in the browser")
    start = Measure("browser decoder: session created")
    decoded = Measure("browser decoder: a click decoded", DECODED_MS)
    painted = Measure("browser decoder: pointer to preview painted")
    write_variants(sources, folder / "decoder", 3)
    with running(folder / "decoder") as server:
        for _ in range(3):
            with visit(server) as visitor:
                start.add(_started(visitor))
                with visitor.accounted(decoded):
                    for _ in range(runs):
                        painted.add(_pointed(visitor))
                        decoded.add(*_marked(visitor.page, "decoded"))
    named = {"decoder_start": start, "decoder_decoded": decoded, "decoder_painted": painted}
    return {name: one.told() for name, one in named.items()}


def _started(visitor: Visitor) -> float:
    """Milliseconds of making the session, without the way of its files. Raises Failure."""
    visitor.open(visitor.photos()[0])
    visitor.settle(500)
    line = visitor.page.context.new_cdp_session(visitor.page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    for _ in range(WARM_UP):
        _pointed(visitor)
    for _ in range(LONGEST_S):
        if times := _marked(visitor.page, "decoder"):
            _pointed(visitor)
            return float(times[0])
        visitor.settle(1_000)
    raise Failure(f"the browser's decoder did not start: {_marked(visitor.page, 'decoder-failed')}")


def _pointed(visitor: Visitor) -> float:
    move = visitor.page.mouse.move
    visitor.page.evaluate("() => performance.clearMarks('anymask:decoded')")
    times = visitor.timed("pointermove", lambda: move(*visitor.place()), "preview")
    visitor.settle()
    return float(times["preview"])


def _marked(page: Page, moment: str) -> list[Any]:
    found: list[Any] = page.evaluate(
        "(name) => performance.getEntriesByName(name).map((one) => one.detail)", f"anymask:{moment}"
    )
    return found
