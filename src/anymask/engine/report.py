"""Pages of a project and of a simulation: numbers, curves over the rounds, pictures before and after."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from anymask.api import load
from anymask.drawing import everything_overlay, side_by_side
from anymask.engine.plots import Point, curve
from anymask.engine.project import Project
from anymask.engine.status import Status
from anymask.errors import AnymaskError
from anymask.files import write_atomically
from anymask.images.reader import read_image
from anymask.store import images
from anymask.store.annotations import masks_of

PAGE = Path(__file__).with_suffix(".html")
PICTURES = 6
PICTURE_SIDE = 480
CURVES = (  # of a round's report: key, title
    ("seconds_per_mask", "seconds a mask"),
    ("clicks_per_mask", "clicks a mask"),
    ("masks_per_image", "masks a photo"),
    ("iou_click_1", "IoU of one click"),
    ("iou_box", "IoU of a box"),
    ("ar_at_100", "automatic masks: AR@100"),
    ("precision_at_75", "automatic masks: precision at IoU 0.75"),
)


def write_status_page(project: Project, status: Status, path: Path) -> None:
    """A page of the project as it is. Raises StorageError."""
    write_atomically(path, status_page(project, status).encode())


def status_page(project: Project, status: Status) -> str:
    """The same as text."""
    counts = status.images
    cards = {
        "photos": counts["images"],
        "masks": counts["masks"],
        "masks a photo": None if status.masks_per_image is None else round(status.masks_per_image, 1),
        "rounds": len(status.rounds),
        "agreement": None if status.agreement is None else round(status.agreement, 2),
    }
    rows = [
        {"round": o.number, "stage": o.stage, "promoted": o.state == "promoted", **o.metrics.get("after", {})}
        for o in status.rounds
    ]
    outcomes = [[o.number, o.stage, o.state, o.why] for o in status.rounds]
    people = [[one.name, one.kind, one.tasks, f"{one.seconds / one.tasks:.0f} s"] for one in status.people]
    body = (
        _section("Rounds", f'<div class="plots">{_curves(rows)}</div>' if rows else "")
        + _section("", _table(["round", "stage", "outcome", "why"], outcomes))
        + _section("People", _table(["name", "task", "done", "each"], people))
        + _section("Masks", f"<main>{_pictures(project)}</main>")
    )
    return _page(project.folder.resolve().name, f"The model of now: {status.model}", cards, body)


def write_simulation_page(project: Project, report: Mapping[str, Any], path: Path) -> None:
    """A page of a simulated engine. Raises StorageError."""
    rounds = report["rounds"]
    before, after, automatic = report.get("before", {}), report.get("after", {}), report.get("automatic", {})
    cards = {
        "IoU of one click": _change(before, after, "iou_click_1"),
        "IoU of a box": _change(before, after, "iou_box"),
        "seconds a mask, same photos": _change(
            before.get("trial", {}), after.get("trial", {}), "seconds_per_mask"
        ),
        "AR@100, automatic": _change(before, after, "ar_at_100"),
        "automatic masks right at 0.75": _number(automatic.get("share_right_75")),
        "minutes": round(report.get("seconds", 0) / 60, 1),
    }
    costs = ["photos", "drawn", "prefilled", "seconds_per_mask", "clicks_per_mask"]
    columns = ["round", "stage", *costs, "promoted", "why"]
    rows = [[_number(one.get(name)) for name in columns] for one in rounds]
    body = (
        _section("Over the rounds", f'<div class="plots">{_curves(rounds)}</div>')
        + "<p>Hollow: a round whose model was not promoted. Broken line: where stage 2 begins.</p>"
        + _section("Each round", _table([name.replace("_", " ") for name in columns], rows))
        + _forgetting(report.get("forgetting", {}))
        + _section("Before and after", f"<main>{_before_and_after(project)}</main>")
    )
    lead = "A simulated crew annotates, the model is trained on it, the next masks are better."
    write_atomically(path, _page("The data engine, simulated", lead, cards, body).encode())


def _forgetting(sets: Mapping[str, Mapping[str, float]]) -> str:
    rows = [[name, *(f"{one[key]:.3f}" for key in ("before", "after", "lost"))] for name, one in sets.items()]
    return (
        _section("First clicks on other photos", _table(["photos", "before", "after", "lost"], rows))
        if rows
        else ""
    )


def _change(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str | None:
    if before.get(name) is None or after.get(name) is None:
        return None
    return f"{before[name]:.2f} → {after[name]:.2f}"


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    drawn = []
    stage_2 = next((one["round"] for one in rows if one["stage"] == "semi"), None)
    for key, title in CURVES:
        points = [
            Point(one["round"], float(one[key]), bool(one.get("promoted", True)))
            for one in rows
            if isinstance(one.get(key), int | float)
        ]
        if points:
            drawn.append(f"<figure>{curve(points, stage_2)}<figcaption>{escape(title)}</figcaption></figure>")
    return "".join(drawn)


def _pictures(project: Project) -> str:
    found: list[str] = []
    for image in images.list_images(project.database, limit=500):
        masks = [one.mask for one in masks_of(project.database, image.id)] if image.masks else []
        if masks and len(found) < PICTURES:
            try:
                pixels = read_image(project.photo(image).read())
            except AnymaskError:
                continue
            found.append(_figure(everything_overlay(pixels, masks), image.name))
    return "".join(found)


def _before_and_after(project: Project) -> str:
    """Automatic masks of the model that the project began with and of the one it has now."""
    models = [load(project.config.model), load(project.model)]
    chosen = images.list_images(project.database, fixed=True, limit=PICTURES)
    found = []
    for image in chosen:
        pixels = read_image(project.photo(image).read())
        pair = [
            everything_overlay(pixels, [one.mask for one in model.everything(pixels)]) for model in models
        ]
        found.append(_figure(side_by_side(pair), f"{image.name}: before, after"))
    return "".join(found)


def _figure(picture: Any, caption: str) -> str:
    picture = picture.convert("RGB")
    picture.thumbnail((2 * PICTURE_SIDE, PICTURE_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    name = escape(caption)
    image = f'<img alt="{name}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{name}</figcaption></figure>"


def _number(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, float) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _section(title: str, content: str) -> str:
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return heading + content if content else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = [
        "".join(
            f"<td{' class=number' if isinstance(v, int | float) else ''}>{escape(_shown(v))}</td>"
            for v in row
        )
        for row in rows
    ]
    if not cells:
        return ""
    heading = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{heading}</tr>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _page(title: str, lead: str, cards: Mapping[str, Any], body: str) -> str:
    shown = "".join(
        f"<div><b>{escape(str(value))}</b><span>{escape(name)}</span></div>"
        for name, value in cards.items()
        if value is not None
    )
    return Template(PAGE.read_text("utf-8")).substitute(
        title=escape(title), lead=escape(lead), cards=shown, body=body
    )
