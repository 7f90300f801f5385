"""What a person at the page waits for: opening photos, prompts and saves, many masks, a large photo."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anymask.bench.browser import Visitor, visit
from anymask.bench.measure import Measure, rate
from anymask.bench.photos import many_disks, write_large, write_resized, write_variants
from anymask.bench.server import Client, StudioServer, running
from anymask.core.mask import Mask

PREVIEW_MS, LOOK_MS, REFINED_MS, SAVED_MS = 80.0, 120.0, 350.0, 50.0
READY_MS, UNREADY_MS = 300.0, 1_000.0
MANY_MS, FPS = 100.0, 30.0
LARGE_PAINTED_MS = 2_000.0
MANY_SIZE_WH = (4_000, 3_000)
BATCH = 500  # masks of one save
MOVING_MS = 2_000
ZOOM_OF_WHEEL = 0.54  # of one turn, as a logarithm
Told = dict[str, Any]
Say = Callable[[str], None]


def measure_photos(sources: list[Path], folder: Path, runs: int, say: Say) -> Told:
    """Opening `runs` photos without and with their embedding, then prompts and saves on them."""
    write_variants(sources, folder / "photos", runs)
    with running(folder / "photos") as server, visit(server) as visitor:
        say("opening photos")
        opening = _opening(visitor)
        say("prompts and saves")
        return {"chromium": visitor.version, **opening, **_prompting(visitor)}


def _opening(visitor: Visitor) -> Told:
    painted = Measure("photo painted, opened for the first time")
    unready = Measure("image open to promptable, embedding not ready", UNREADY_MS)
    ready = Measure("image open to promptable, embedding ready", READY_MS)
    photos = visitor.photos()
    for photo in reversed(photos[3:]):  # the first three are encoded ahead
        with visitor.accounted(unready):
            times = visitor.open(photo)
        painted.add(times["photo"])
        unready.add(times["promptable"])
        visitor.settle(500)
    for photo in photos[:3]:
        visitor.open(photo)
        visitor.settle(500)
    for photo in reversed(photos):
        with visitor.accounted(ready):
            ready.add(visitor.open(photo)["promptable"])
        visitor.settle(500)
    return {"painted": painted.told(), "open_unready": unready.told(), "open_ready": ready.told()}


def _prompting(visitor: Visitor) -> Told:
    preview = Measure("pointer to preview painted", PREVIEW_MS)
    look = Measure("click to first candidates painted", LOOK_MS)
    refined = Measure("click to refined mask painted", REFINED_MS)
    corrected = Measure("right click to corrected mask painted", REFINED_MS)
    saved = Measure("save acknowledged", SAVED_MS)
    mouse = visitor.page.mouse
    for photo in reversed(visitor.photos()):
        visitor.open(photo)
        visitor.settle(500)
        for _ in range(2):
            with visitor.accounted(preview):
                preview.add(
                    visitor.timed("pointermove", lambda: mouse.move(*visitor.place()), "preview")["preview"]
                )
            visitor.settle()
        with visitor.accounted(refined):
            times = _clicked(visitor, "look", "refined")
        look.add(times["look"])
        refined.add(times["refined"])
        with visitor.accounted(saved):
            saved.add(visitor.timed("keydown", lambda: visitor.press("Enter"), "saved")["saved"])
        _clicked(visitor, "refined")
        mouse.move(*visitor.place())
        mouse.down(button="right")
        again = visitor.timed("pointerup", lambda: mouse.up(button="right"), "refined")
        corrected.add(again["refined"])
        visitor.press("Escape")
        visitor.settle()
    named = {"preview": preview, "look": look, "refined": refined, "corrected": corrected, "saved": saved}
    return {name: one.told() for name, one in named.items()}


def _clicked(visitor: Visitor, *moments: str) -> dict[str, float]:
    """Where the pointer is; with time for the alternatives."""
    visitor.page.mouse.down()
    times = visitor.timed("pointerup", visitor.page.mouse.up, *moments)
    visitor.settle(600)
    return times


def measure_many(sources: list[Path], folder: Path, masks: int, runs: int, say: Say) -> Told:
    """A photo of 12 megapixels with thousands of masks."""
    write_resized(sources[0], folder / "many" / "many.jpg", MANY_SIZE_WH)
    with running(folder / "many") as server:
        say(f"{masks} masks on one photo")
        disks = list(many_disks((MANY_SIZE_WH[1], MANY_SIZE_WH[0]), masks))
        _save_all(server, disks)
        with visit(server) as visitor:
            (photo,) = visitor.photos()
            opened = Measure(f"photo with {masks} masks painted")
            opened.add(visitor.open(photo)["photo"])
            visitor.settle(1_000)
            return {"many_open": opened.told(), **_acting(visitor, disks[:runs]), **_moving(visitor)}


def _save_all(server: StudioServer, masks: list[Mask]) -> None:
    client = Client(server, server.token)
    (photo,) = client.ask("GET", "/images").json()["images"]
    work = client.ask("POST", f"/images/{photo['id']}/open", {}).json()
    lease = {name: work["lease"][name] for name in ("task", "token")}
    revision, operations = work["revision"], []
    for number, one in enumerate(masks, 1):
        operations.append({"op": "add", "mask": {"uid": uuid.uuid4().hex, "rle": one.rle}})
        if len(operations) == BATCH or number == len(masks):
            body = {"lease": lease, "operations": operations}
            headers = {"Idempotency_Key": uuid.uuid4().hex, "If_Match": f'"{revision}"'}
            revision = client.ask("POST", f"/images/{photo['id']}/actions", body, **headers).json()[
                "revision"
            ]
            operations = []
    client.close()


def _acting(visitor: Visitor, disks: list[Mask]) -> Told:
    """Every action on some of the masks until nothing of it is left to draw."""
    mouse, press = visitor.page.mouse, visitor.press
    names = (
        "hover",
        "select",
        "hide",
        "show",
        "delete",
        "undo",
        "click",
        "all_hidden",
        "all_shown",
        "outlines",
    )
    measures = {name: Measure(f"many masks: {name.replace('_', ' ')}", MANY_MS) for name in names}

    def timed(name: str, event: str, act: Callable[[], object]) -> None:
        with visitor.accounted(measures[name]):
            measures[name].add(visitor.timed(event, act, "drawn")["drawn"])
        visitor.settle(120)

    view = visitor.view()
    for one in disks:
        x0, y0, x1, y1 = one.box_xyxy
        middle = view.on_screen(((x0 + x1) / 2, (y0 + y1) / 2))
        press("q")
        timed("hover", "pointermove", lambda: mouse.move(*middle))  # noqa: B023 - called at once
        mouse.down()
        timed("select", "pointerup", mouse.up)
        timed("hide", "keydown", lambda: press("h"))
        timed("show", "keydown", lambda: press("h"))
        timed("delete", "keydown", lambda: press("Delete"))
        timed("undo", "keydown", lambda: press("Control+z"))
        timed("all_hidden", "keydown", lambda: press("Shift+H"))
        timed("all_shown", "keydown", lambda: press("Shift+H"))
        press("s")
        mouse.move(*visitor.place())
        mouse.down()
        timed("click", "pointerup", mouse.up)
        press("Escape")
        visitor.settle(600)
    for _ in range(2 * (len(disks) // 6 + 1)):
        timed("outlines", "keydown", lambda: press("i"))
    return {f"many_{name}": one.told() for name, one in measures.items()}


def _moving(visitor: Visitor) -> Told:
    page, (x, y) = visitor.page, (640.0, 450.0)
    page.mouse.move(x, y)
    zoomed = page.evaluate("([ms, x, y]) => anymaskProbe.zoom(ms, x, y)", [MOVING_MS, x, y])
    visitor.settle(500)
    for _ in range(6):
        page.mouse.wheel(0, -200)
    visitor.settle(1_500)
    page.mouse.down(button="middle")
    panned = page.evaluate("([ms, x, y]) => anymaskProbe.pan(ms, x, y)", [MOVING_MS, x, y])
    page.mouse.up(button="middle")
    return {
        "many_zoom": rate("many masks: zooming", zoomed, FPS),
        "many_pan": rate("many masks: panning, zoomed in", panned, FPS),
    }


def measure_large(sources: list[Path], folder: Path, side: int, say: Say) -> Told:
    """A photo of 100 megapixels: painted, zoomed to its own pixels, and a small disk marked there."""
    say(f"a photo of {side} x {side} pixels")
    truth = write_large(sources[0], folder / "large" / "large.jpg", side)
    with running(folder / "large") as server, visit(server) as visitor:
        (photo,) = visitor.photos()
        painted = Measure("large photo painted", LARGE_PAINTED_MS)
        promptable = Measure("large photo promptable")
        times = visitor.open(photo)
        painted.add(times["photo"])
        promptable.add(times["promptable"])
        sharp, told = Measure("large photo zoomed in, sharp"), Measure("large photo, click to refined mask")
        iou = _mark_disk(visitor, photo, truth, sharp, told)
        named = {"large_painted": painted, "large_promptable": promptable}
        named |= {"large_zoomed": sharp, "large_refined": told}
        return {**{name: one.told() for name, one in named.items()}, "large_disk_iou": iou}


def _mark_disk(visitor: Visitor, photo: Told, truth: Mask, sharp: Measure, refined: Measure) -> float:
    """Zooms in on the disk until a pixel of the photo is about one of the screen, and clicks it."""
    page = visitor.page
    x0, y0, x1, y1 = truth.box_xyxy
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    view = visitor.view()
    page.mouse.move(*view.on_screen(middle))
    sharp.add(visitor.zoom_in(math.ceil(math.log(1 / view.scale) / ZOOM_OF_WHEEL)))
    visitor.settle(500)
    page.mouse.down()
    refined.add(visitor.timed("pointerup", page.mouse.up, "refined")["refined"])
    visitor.settle(1_000)
    visitor.timed("keydown", lambda: visitor.press("Enter"), "saved")
    return round(Mask.from_rle(visitor.masks(photo)[-1]["rle"]).iou(truth), 3)
