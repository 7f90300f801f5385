"""What a run found, over all its photos: as numbers, as text, and as one HTML page with pictures."""

from __future__ import annotations

import base64
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from anymask.batch.run_folder import MANIFEST, read_record, record_path
from anymask.core.mask import Mask
from anymask.data.photos import FORMAT_FOLDERS, Photo
from anymask.drawing import everything_overlay
from anymask.errors import AnymaskError
from anymask.files import write_atomically
from anymask.images.reader import read_image

PICTURES = 24
PICTURE_SIDE = 480
# Fractions of the photo up to which a mask counts to a class, and how the class is called.
AREA_CLASSES = (
    (0.001, "under 0.1 %"), (0.01, "0.1 to 1 %"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"),
    (0.5, "20 to 50 %"), (float("inf"), "over 50 %"),
)  # fmt: skip
PAGE = Path(__file__).with_suffix(".html")


@dataclass(frozen=True, slots=True)
class Summary:
    """`without_record`, `without_mask`: photos that are not done, and those in which nothing was found.
    `masks_each`: mean, median, min and max masks of a photo. `areas`: masks by their fraction of it.
    `filtered_by`: proposals that were dropped, by filter. `others`: records of photos that
    were not asked for, from an earlier call or because the photo is gone.
    """

    photos: int
    without_record: int
    without_mask: int
    masks: int
    masks_each: dict[str, float]
    areas: dict[str, int]
    filtered_by: dict[str, int]
    others: int = 0


def summarise(folder: Path, photos: Sequence[Photo], total: int | None = None) -> Summary:
    """From the records on disk. `total`: photos of the run, if more than those that can have a record."""
    counts: list[int] = []
    areas: Counter[str] = Counter()
    filtered_by: Counter[str] = Counter()
    for _, record in records_of(folder, photos):
        size = record["image"]["width"] * record["image"]["height"]
        counts.append(len(record["annotations"]))
        fractions = [a["area"] / size for a in record["annotations"]]
        areas.update(next(name for limit, name in AREA_CLASSES if f < limit) for f in fractions)
        filtered_by.update(record.get("filtered_by", {}))
    each: dict[str, float] = {}
    if counts:
        mean, median = statistics.fmean(counts), statistics.median(counts)
        each = {"mean": round(mean, 3), "median": median, "min": min(counts), "max": max(counts)}
    return Summary(
        photos=total or len(photos),
        without_record=(total or len(photos)) - len(counts),
        without_mask=counts.count(0),
        masks=sum(counts),
        masks_each=each,
        areas={name: areas[name] for _, name in AREA_CLASSES},
        filtered_by=dict(sorted(filtered_by.items())),
        others=_others(folder, photos),
    )


def _others(folder: Path, photos: Sequence[Photo]) -> int:
    known = {record_path(folder, photo.key) for photo in photos}
    known |= {folder / MANIFEST, folder / "summary.json"}
    found = (p for p in folder.rglob("*.json") if p not in known and not p.name.startswith("."))
    return sum(
        p.relative_to(folder).parts[0] not in FORMAT_FOLDERS and read_record(p) is not None for p in found
    )


def text(summary: Summary) -> str:
    """A few lines for a terminal."""
    each = summary.masks_each
    lines = [f"{summary.photos - summary.without_record} of {summary.photos} photos, {summary.masks} masks"]
    if each:
        spread = f"mean {each['mean']:.1f}, median {each['median']:g}, {each['min']:g} to {each['max']:g}"
        none = f", none in {summary.without_mask}" if summary.without_mask else ""
        lines += [f"  masks per photo: {spread}{none}", f"  by area:  {_listed(summary.areas) or 'none'}"]
        lines.append(f"  filtered by: {_listed(summary.filtered_by) or 'none'}")
    if summary.others:
        lines.append(f"  records of other photos, gone or of an earlier call: {summary.others}")
    return "\n".join(lines)


def write_summary(folder: Path, photos: Sequence[Photo], total: int | None = None, *, title: str) -> Summary:
    """`summary.json` and `summary.html` in the folder. Raises StorageError."""
    summary = summarise(folder, photos, total)
    write_atomically(folder / "summary.json", (json.dumps(asdict(summary), indent=1) + "\n").encode())
    done = [p for p in photos if record_path(folder, p.key).is_file()]
    step = max(1, len(done) / PICTURES)  # between those that are shown
    shown = [done[int(i * step)] for i in range(min(PICTURES, len(done)))]
    figures = "".join(_figure(photo, record) for photo, record in records_of(folder, shown))
    page = Template(PAGE.read_text("utf-8")).substitute(
        title=escape(title), tables=_tables(summary), figures=figures
    )
    write_atomically(folder / "summary.html", page.encode("utf-8", "replace"))
    return summary


def records_of(folder: Path, photos: Sequence[Photo]) -> Iterator[tuple[Photo, dict[str, Any]]]:
    """The photos that are done, and what was found in them."""
    for photo in photos:
        record = read_record(record_path(folder, photo.key))
        if record is not None:
            yield photo, record


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items() if count)


def _figure(photo: Photo, record: dict[str, Any]) -> str:
    """The photo with its masks, small, inside the page; nothing when the photo is gone."""
    try:
        pixels_HW3 = read_image(photo.blob.read())
    except AnymaskError:
        return ""
    masks = [Mask.from_rle(a["segmentation"]) for a in record["annotations"]]
    buffer = io.BytesIO()
    everything_overlay(pixels_HW3, masks, PICTURE_SIDE).save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    caption = f"{escape(photo.name)}, {len(masks)} masks"
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _tables(summary: Summary) -> str:
    done = summary.photos - summary.without_record
    facts: dict[str, float] = {"photos": summary.photos, "done": done, "masks": summary.masks}
    facts["photos without a mask"] = summary.without_mask
    facts |= {f"masks per photo, {name}": round(value, 1) for name, value in summary.masks_each.items()}
    areas = _table("Masks by share of the photo", summary.areas)
    return _table("Run", facts, bars=False) + areas + _table("Filtered by", summary.filtered_by)


def _table(title: str, rows: Mapping[str, float], bars: bool = True) -> str:
    most = max(rows.values(), default=0) or 1
    lines = []
    for name, value in rows.items():
        bar = f'<td><span class="bar" style="width:{10 * value / most:.2f}em"></span></td>' if bars else ""
        lines.append(f"<tr><td>{escape(name)}</td><td>{value}</td>{bar}</tr>")
    return f"<table><tr><th colspan=3>{escape(title)}</th></tr>{''.join(lines)}</table>\n"
