"""The store under load: saves at a fixed rate, and a large project in SQLite.

    python benchmarks/bench_store.py saves [--rate 200]
    python benchmarks/bench_store.py large [--images 100000]

Saves come when they are due, whether those before were acknowledged or not: what waits counts as late.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sqlalchemy import Connection, insert, select, text, update

from anymask.cli.reporting import say
from anymask.core.mask import Mask
from anymask.engine.project import Project
from anymask.engine.status import status_of
from anymask.store import images, tasks
from anymask.store.annotations import save
from anymask.store.database import Database
from anymask.store.images import NewImage
from anymask.store.schema import images as image_table
from anymask.store.schema import layers, mask_rows
from anymask.store.values import Action, StoredMask

SIZE_HW = (256, 256)
SHAPES = 16  # masks that differ
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {}) "
LARGE_MASKS = """
INSERT INTO masks (image_id, layer, uid, counts, x, y, w, h, area, category, author, stage, round, added)
SELECT images.id, {layer}, 'm' || i, shapes.counts, shapes.x, shapes.y, shapes.w, shapes.h, shapes.area,
       'cell', 'ann', 'manual', 0, 1
FROM images CROSS JOIN n JOIN shapes ON shapes.number = i % {shapes} {where} ORDER BY images.id
"""
DONE = """
UPDATE tasks SET state = 'done', "user" = 'user' || ((image_id + slot) % 7), closed = image_id, seconds = 60
WHERE kind = 'annotate' AND image_id % 10 = 1
"""
EXPORT = """
import re, sys, time
from pathlib import Path
from anymask.data import formats
from anymask.engine.exchange import export_annotations
from anymask.engine.project import Project
began = time.time()
with Project.open(Path(sys.argv[1])) as project:
    done = export_annotations(project, Path(sys.argv[2]), formats.Notes(), format_name="coco", photos="none")
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]  # maxrss counts the parent's, too
print(done.masks, int(peak) >> 10, time.time() - began)
"""

bench = typer.Typer(no_args_is_help=True, help="The store under load.")


def blob(number: int) -> Mask:
    """An ellipse with a wavy edge: some hundred bytes of run lengths."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    cy, cx = rng.uniform(80, 176, 2)
    angle = np.arctan2(y - cy, x - cx)
    radius = rng.uniform(25, 60) * (1 + 0.15 * np.sin(7 * angle + number))
    return Mask.from_array((x - cx) ** 2 + 1.4 * (y - cy) ** 2 < radius**2)


def p95_ms(times_s: list[float]) -> float:
    return 1000 * sorted(times_s)[len(times_s) * 95 // 100]


@bench.command()
def saves(
    rate: Annotated[int, typer.Option(help="Saves a second.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long.")] = 20.0,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Default: SQLite in a new folder.")] = None,
) -> None:
    """Time from when a save is due until it is acknowledged, of many people in one process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Database.open(url or f"sqlite:///{folder}/x.db") as database,
    ):
        began = time.process_time()
        times = saved_at_rate(database, rate, seconds)
        busy = time.process_time() - began
    told = {
        "saves": len(times),
        "a_second": round(len(times) / seconds),
        "p50_ms": round(1000 * statistics.median(times), 1),
        "p95_ms": round(p95_ms(times), 1),
        "p99_ms": round(1000 * sorted(times)[len(times) * 99 // 100], 1),
        "processor_ms_each": round(1000 * busy / len(times), 2),
        "load_average": round(os.getloadavg()[0], 1),
    }
    say(json.dumps(told))


def saved_at_rate(database: Database, rate: int, seconds: float) -> list[float]:
    """Seconds that each save took; each adds a mask to an image of its person."""
    people, masks = rate, [blob(i) for i in range(SHAPES)]
    add_photos(database, people)
    times: list[float] = []
    revisions, gates = [0] * people, [threading.Lock() for _ in range(people)]

    def one(number: int, due: float) -> None:
        person = number % people
        with gates[person]:
            prompts = {"prompts": [[100.5, 80.5, 1]] * 3, "offered": [0.9, 0.7, 0.4], "taken": 0}
            new = StoredMask(f"m{number}", masks[number % SHAPES], seconds=2.5, more=prompts)
            action = Action(person + 1, revisions[person], f"k{number}", f"p{person}", (new,))
            revisions[person] = save(database, action).revision
        times.append(time.perf_counter() - due)

    with ThreadPoolExecutor(64) as pool:
        began = time.perf_counter() + 0.1
        for number in range(int(rate * seconds)):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            pool.submit(one, number, due)
    assert len(times) == int(rate * seconds), "a save failed"
    return times


def add_photos(database: Database, count: int) -> None:
    images.add_images(
        database, [NewImage(f"{i:064x}", f"{i}.png", f"/p/{i}.png", SIZE_HW) for i in range(1, count + 1)]
    )


@bench.command()
def large(
    number: Annotated[int, typer.Option("--images", help="Photos in the project.")] = 100_000,
    per_image: Annotated[int, typer.Option("--masks", help="Masks on each.")] = 50,
    exported: Annotated[int, typer.Option("--exported", help="Masks of the export.")] = 1_000_000,
) -> None:
    """What a page asks for, and the export, of a large project in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        build(Path(folder) / "large", number, per_image)
        built = time.perf_counter() - began
        told: dict[str, Any] = {"images": number, "masks": number * per_image, "built_s": round(built)}
        told["megabytes"] = (Path(folder) / "large" / "store.db").stat().st_size >> 20
        times = times_of(Path(folder) / "large")
        told["p95_ms"] = {name: round(p95, 1) for name, (p95, _) in times.items()}
        told["processor_ms"] = {name: round(busy, 1) for name, (_, busy) in times.items()}
        build(Path(folder) / "export", exported // per_image, per_image)
        masks, peak, seconds = export_in_a_process(Path(folder) / "export", Path(folder) / "out")
        told["export"] = {"masks": masks, "peak_mb": peak, "seconds": round(seconds)}
        told["load_average"] = round(os.getloadavg()[0], 1)
    say(json.dumps(told))


def build(folder: Path, number: int, per_image: int) -> None:
    """By SQL in bulk: without events, which what is timed here does not read. A tenth is annotated, twice."""
    project, _ = Project.init(folder, [])
    shapes = [blob(i) for i in range(SHAPES)]
    states = ("new", "annotated", "prefilled", "automatic")

    def work(connection: Connection) -> None:
        connection.execute(update(image_table).values(fixed=image_table.c.id % 50 == 0))
        for n, state in enumerate(states):
            connection.execute(update(image_table).where(image_table.c.id % 4 == n).values(state=state))
        rows = [
            {"image_id": i, "layer": 0, "revision": 1, "masks": per_image, "digest": f"{i:064x}"}
            for i in range(1, number + 1)
        ]
        connection.execute(insert(layers), rows)
        connection.execute(text("CREATE TEMP TABLE shapes (number, counts, x, y, w, h, area)"))
        for n, one in enumerate(shapes):
            x, y, w, h = one.bbox_xywh
            facts = {"n": n, "counts": one.rle["counts"], "x": x, "y": y, "w": w, "h": h, "area": one.area}
            connection.execute(text("INSERT INTO shapes VALUES (:n, :counts, :x, :y, :w, :h, :area)"), facts)
        for layer, where in ((0, ""), (1, "WHERE images.id % 100 = 1")):
            fill = LARGE_MASKS.format(layer=layer, shapes=SHAPES, where=where)
            connection.execute(text(NUMBERS.format(per_image) + fill))
        assert connection.execute(select(mask_rows.c.id).limit(1)).first()

    with project:
        add_photos(project.database, number)
        project.database.write(work)
        tasks.add_tasks(project.database, range(1, number + 1), slots=2)
        tasks.add_tasks(project.database, range(1, number + 1), kind="review")
        project.database.write(lambda connection: connection.execute(text(DONE)))


def times_of(folder: Path, times: int = 40) -> dict[str, tuple[float, float]]:
    """Milliseconds of what pages ask for, p95; and those that a processor was busy with it, median."""
    with Project.open(folder) as project:
        database = project.database

        def done(i: int) -> None:
            lease = tasks.next_task(database, f"ann{i % 3}")
            assert lease is not None
            tasks.submit(database, lease)

        calls: dict[str, Callable[[int], object]] = {
            "next_task": lambda i: tasks.next_task(database, f"u{i}"),
            "next_and_submit": done,
            "list": lambda i: images.list_images(database, after=97 * i),
            "filter": lambda i: images.list_images(database, state="annotated", fixed=False, after=97 * i),
            "fixed": lambda i: images.list_images(database, fixed=True, after=97 * i),
            "counts": lambda i: images.counts(database),
            "tasks": lambda i: tasks.counts(database),
            "people": lambda i: tasks.people(database),
            "status": lambda i: status_of(project),
        }
        return {name: _timed(call, times) for name, call in calls.items()}


def _timed(call: Callable[[int], object], times: int) -> tuple[float, float]:
    took, busy = list[float](), list[float]()
    for number in range(times):
        began, began_busy = time.perf_counter(), time.process_time()
        call(number)
        took.append(time.perf_counter() - began)
        busy.append(time.process_time() - began_busy)
    return p95_ms(took), 1000 * statistics.median(busy)


def export_in_a_process(folder: Path, target: Path) -> tuple[int, int, float]:
    """Masks, peak memory in MB and seconds of an export as COCO."""
    command = [sys.executable, "-c", EXPORT, str(folder), str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
    masks, peak, seconds = ran.stdout.split()
    return int(masks), int(peak), float(seconds)


if __name__ == "__main__":
    bench()
