"""`anymask name`: categories for masks that have none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.convert import NAMES, READ, Photos, prepare, report_notes
from anymask.cli.options import BackendName, ModelName
from anymask.cli.reporting import progress_line, say

if TYPE_CHECKING:
    from anymask.api import Model
    from anymask.data.record import Record

NAME_EXAMPLES = """\b
anymask everything photos/ --out masks && anymask name masks named --to coco
"""


@dataclass(slots=True)
class Named:
    """What has been named. `before`: masks that had a category already."""

    photos: int = 0
    masks: int = 0
    unknown: int = 0
    before: int = 0


def name(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A data set in any format that is read.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new or empty folder.")],
    to: Annotated[str, typer.Option(metavar=NAMES, help="The format to write.")] = "sa1b",
    from_: Annotated[
        str, typer.Option("--from", metavar=f"auto|{READ}", help="The format to read; auto looks.")
    ] = "auto",
    again: Annotated[bool, typer.Option("--again", help="Also masks that have a category.")] = False,
    images: Photos = None,
    model: ModelName = "lite",
    backend: BackendName = "auto",
) -> None:
    """Name masks: categories for a data set, from what the model sees in them.

    A mask without a likely name gets the category "unknown".
    """
    from anymask.api import load
    from anymask.data import formats

    notes, named = formats.Notes(), Named()
    formats.find_format(to)
    read = formats.detect(source).name if from_ == "auto" else formats.find_format(from_, to_read=True).name
    contents = formats.read(source, notes, format_name=read)
    opened = load(model, backend=backend)
    opened.namer  # noqa: B018  a model without names is told before hours of work
    prepare(source, target, {"source": str(source.resolve()), "from": read, "to": to, "named": opened.name})
    counted = replace(contents, records=_each(contents.records, contents.total, opened, named, again))
    try:
        formats.write(counted, target, notes, format_name=to, photos=images)
    finally:
        report_notes(notes)
    before = f"; {named.before:,} had names already (--again: names for them too)" if named.before else ""
    counts = f"{named.masks:,} masks of {named.photos:,} photos named, {named.unknown:,} unknown"
    say(f"{counts}{before}: {to} in {target}")
    if notes.failures:
        raise typer.Exit(1)


def _each(records: Any, total: int, model: Model, named: Named, again: bool) -> Iterator[Record]:
    for record in records:
        yield _with_names(record, model, named, again)
        named.photos += 1
        progress_line(min(named.photos, total), total)


def _with_names(record: Record, model: Model, named: Named, again: bool) -> Record:
    from anymask.words.mask_words import MaskWords

    annotations = [dict(one) for one in record.fields.get("annotations", [])]
    seen = [
        (fields, one.mask)
        for fields, one in zip(annotations, record.annotations, strict=True)
        if one.mask is not None and one.mask.area
    ]
    chosen = [(fields, mask) for fields, mask in seen if again or not fields.get("category")]
    named.before += len(seen) - len(chosen)
    if not chosen:
        return record
    told = MaskWords(names=True).told(model.namer, record.read_pixels(), [mask for _, mask in chosen])
    for (fields, _), (_, more) in zip(chosen, told, strict=True):
        fields |= more
        named.unknown += more["category"] == "unknown"
    named.masks += len(chosen)
    return replace(record, fields={**record.fields, "annotations": annotations})
