"""`anymask convert`: annotations from one format to another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.reporting import complain, progress_line, say

if TYPE_CHECKING:
    from anymask.data.formats import Contents, Notes

READ = (
    "sa1b|coco|coco-polygon|coco-cvat|yolo|voc|labelme|label-map|cvat|label-studio|datumaro|cityscapes|"
    "panoptic|geojson|webdataset"
)
NAMES = f"{READ}|parquet"
MARKER = ".anymask-convert.json"
CONVERT_EXAMPLES = """\b
anymask convert instances_val.json masks --to sa1b
anymask convert labelme-folder dataset --to yolo
anymask convert shard.tar dataset --to coco --images copy
"""


Photos = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="link|copy|none",
        help="How photos get beside the annotations. Default: link where the format has them there. "
        "Photos in a shard are always copied.",
    ),
]


@dataclass(slots=True)
class Count:
    """What has been converted."""

    photos: int = 0
    masks: int = 0


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A folder, a .tar shard or a JSON, XML or YAML file.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new or empty folder.")],
    to: Annotated[str, typer.Option(metavar=NAMES, help="The format to write.")],
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar=f"auto|{READ}",
            help="The format to read; auto looks, and asks if unsure.",
        ),
    ] = "auto",
    images: Photos = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the photos lie, if not where SRC has them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Convert annotations between formats.

    Holes, parts and overlaps are kept wherever the format can hold them.

    What a format cannot hold is counted and reported at the end. A file that cannot be read is reported, the
    others are converted; the exit code is then 1. Inputs are never overwritten. The same call into the same
    folder again replaces what it wrote.
    """
    from anymask.data import formats
    from anymask.errors import BadOption

    notes, count = formats.Notes(), Count()
    if photos is not None and not photos.is_dir():
        raise BadOption(f"--photos: expected a folder, got {photos}")
    if images not in (None, *formats.LINK_MODES):
        raise BadOption(f"--images: expected {', '.join(formats.LINK_MODES)}, got {images!r}")
    formats.find_format(to)
    name = formats.detect(source).name if from_ == "auto" else formats.find_format(from_, to_read=True).name
    contents = formats.read(source, notes, format_name=name, photo_folder=photos)
    prepare(source, target, {"source": str(source.resolve()), "from": name, "to": to})
    counted = replace(contents, records=_counted(contents, count))
    try:
        formats.write(counted, target, notes, format_name=to, photos=images)
    finally:
        report_notes(notes)
    say(_json(count, name, to, notes) if as_json else _text(count, name, to, target))
    if notes.failures:
        raise typer.Exit(1)


def prepare(source: Path, target: Path, call: dict[str, str]) -> None:
    """Make the folder and say what is in it.

    Raises BadInput when it holds anything but what the same call wrote before, or lies in the source.
    """
    from anymask.errors import BadInput
    from anymask.files import make_folder, write_atomically

    here, there = source.resolve(), target.resolve()
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target} is a file: expected a new or empty folder")
    if here == there or here in there.parents or there in here.parents:
        raise BadInput(f"{target} and {source} lie within each other: choose a folder outside")
    if target.exists() and any(target.iterdir()) and _marked(target) != call:
        raise BadInput(f"{target} is not empty and holds something else: choose a new or empty folder")
    make_folder(target)
    write_atomically(target / MARKER, json.dumps(call).encode() + b"\n")


def _marked(target: Path) -> Any:
    try:
        return json.loads((target / MARKER).read_bytes())
    except (OSError, ValueError):
        return None


def _counted(contents: Contents, count: Count) -> Iterator[Any]:
    for record in contents.records:
        count.photos += 1
        count.masks += len(record.annotations)
        yield record
        progress_line(min(count.photos, contents.total), contents.total)


def report_notes(notes: Notes) -> None:
    for where, message in notes.failures:
        complain(message if where in message else f"{where}: {message}")
    for line in notes.lines():
        complain(line)


def _text(count: Count, name: str, to: str, target: Path) -> str:
    masks = f"{count.masks:,} mask{'' if count.masks == 1 else 's'}"
    photos = f"{count.photos:,} photo{'' if count.photos == 1 else 's'}"
    return f"{masks} of {photos}: {name} -> {to} in {target}"


def _json(count: Count, name: str, to: str, notes: Notes) -> str:
    lost = {"notes": dict(notes.changes), "failures": len(notes.failures)}
    return json.dumps({"from": name, "to": to, "photos": count.photos, "masks": count.masks, **lost})
