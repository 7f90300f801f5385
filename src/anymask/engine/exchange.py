"""Import and export of annotations in every format there is, losing nothing unsaid."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.formats.contents import NO_CATEGORY
from anymask.data.record import Record
from anymask.engine.project import Progress, Project
from anymask.errors import BadInput, BadOption
from anymask.store import registry
from anymask.store.annotations import masks_of, revision_of, save
from anymask.store.database import AnyRow
from anymask.store.schema import events, images, mask_rows, tasks
from anymask.store.values import Action, StoredMask, digest_of

# The same mask imported again has the same uid.
NAMESPACE = uuid.UUID("9d4d7a55-6a3c-4bb4-9d0b-2f3c1d1f6a77")
WHICH = {"all": "any", "done": "done", "accepted": "approved in review"}  # photos to export, in words
OF_A_MASK = ("id", "segmentation", "bbox", "area", "category", "category_id", "iscrowd", "stage", "author")


@dataclass(slots=True)
class Imported:
    """What an import did. `masks`: added; `known`: on their photo already; `unmatched`: records whose photo
    the project does not have.
    """

    photos: int = 0
    masks: int = 0
    known: int = 0
    unmatched: int = 0
    without_mask: int = 0


def import_annotations(
    project: Project,
    source: Path,
    notes: formats.Notes,
    *,
    format_name: str = "auto",
    author: str = "import",
    progress: Progress | None = None,
) -> Imported:
    """Masks of a data set for the photos of the project, found by content or by name and size.

    A mask that is on its photo already, bit for bit and with the same category, is not added again: neither
    the same file twice nor the project's own export adds anything. Raises BadInput when no photo of the data
    set is of this project.
    """
    contents = formats.read(source, notes, format_name=format_name)
    by_hash, by_name = _known(project)
    done = Imported()
    for number, record in enumerate(contents.records, 1):
        with notes.catching(record.key):
            image = _match(record, by_hash, by_name, notes)
            if image is None:
                done.unmatched += 1
                notes.changed("photos that the project does not have passed over", record.key)
            else:
                _import_record(project, record, image, author, done, notes)
        if progress is not None:
            progress(number, contents.total)
    if not done.photos and done.unmatched:
        raise BadInput(f"{source}: none of its {done.unmatched} photos is of this project")
    told = {"photos": done.photos, "masks": done.masks, "known": done.known}
    registry.note(project.database, author, "imported", **told)
    return done


def _known(project: Project) -> tuple[dict[str, AnyRow], dict[str, list[AnyRow]]]:
    with project.database.read() as connection:
        rows = connection.execute(select(images)).all()
    by_name: dict[str, list[AnyRow]] = {}
    for row in rows:
        by_name.setdefault(Path(row.name).stem, []).append(row)
    return {row.hash: row for row in rows}, by_name


def _match(
    record: Record, by_hash: dict[str, AnyRow], by_name: dict[str, list[AnyRow]], notes: formats.Notes
) -> AnyRow | None:
    """By the bytes of its photo where there is one, else by the only photo of that name and size."""
    if record.blob.exists:
        return by_hash.get(record.blob.sha256)
    same = [
        one for one in by_name.get(Path(record.key).stem, []) if (one.height, one.width) == record.size_hw
    ]
    if len(same) > 1:
        longer = [one for one in same if str(Path(one.name).with_suffix("")).endswith(record.key)]
        same = longer or same
    if len(same) == 1:
        notes.changed("photos matched by name and size alone", record.key)
        return same[0]
    return None


def _import_record(
    project: Project, record: Record, image: AnyRow, author: str, done: Imported, notes: formats.Notes
) -> None:
    adds: dict[str, StoredMask] = {}
    for one in record.annotations:
        mask = one.mask
        if mask is None or mask.is_empty:
            done.without_mask += 1
            notes.changed("annotations without a mask passed over", record.key)
            continue
        adds.setdefault(
            _uid(image.hash, mask, one.category), _stored(one.fields, mask, one.category, image, author)
        )
    for _ in record.crowd:
        notes.changed("groups (crowd) passed over", record.key)
    key = digest_of("import", image.hash, author, *sorted(adds))
    revision = revision_of(project.database, image.id)
    known = _uids(project, image.id)
    there = {_content(one) for one in masks_of(project.database, image.id)}
    new = tuple(one for uid, one in adds.items() if uid not in known and _content(one) not in there)
    done.photos += 1
    done.known += len(adds) - len(new)
    done.masks += len(new)
    if new:
        save(project.database, Action(image.id, revision, key, author, new))


def _uids(project: Project, image_id: int) -> set[str]:
    query = select(mask_rows.c.uid).where(mask_rows.c.image_id == image_id, mask_rows.c.layer == 0)
    with project.database.read() as connection:
        return {row.uid for row in connection.execute(query)}


def _content(one: StoredMask) -> tuple[str, str]:
    """What two masks of a photo are the same by. Formats that want a category name one for those without."""
    return one.mask.rle["counts"], one.category or NO_CATEGORY


def _uid(image_hash: str, mask: Mask, category: str | None) -> str:
    return uuid.uuid5(NAMESPACE, f"{image_hash} {mask.rle['counts']} {category}").hex


def _stored(
    fields: dict[str, Any], mask: Mask, category: str | None, image: AnyRow, author: str
) -> StoredMask:
    more = {name: value for name, value in fields.items() if name not in OF_A_MASK}
    uid = _uid(image.hash, mask, category)
    return StoredMask(uid, mask, category, author, "imported", more={"fields": more} if more else {})


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote. `left_out`: photos that were not wanted."""

    photos: int
    masks: int
    left_out: int


def export_annotations(
    project: Project,
    target: Path,
    notes: formats.Notes,
    *,
    format_name: str,
    photos: str | None = None,
    state: str = "all",
    progress: Progress | None = None,
) -> Exported:
    """Images with their masks as a data set, and the classes of the project, used or not. Read page by page.

    `state`: `all`, `done` (annotated) or `accepted`: of those the ones that a reviewer approved and nobody
    changed since. Raises BadOption for another, BadInput when no image is in this state.
    """
    chosen, left_out = _chosen(project, state)
    masks = 0

    def counted() -> Iterator[Record]:
        nonlocal masks
        for number, record in enumerate(project.records(only=chosen), 1):
            masks += len(record.annotations)
            yield record
            if progress is not None:
                progress(number, len(chosen))

    declared = {name: number for number, name in enumerate(project.classes, 1)}
    contents = formats.Contents(counted(), len(chosen), declared)
    formats.write(contents, target, notes, format_name=format_name, photos=photos)
    registry.note(project.database, "export", "exported", format=format_name, state=state, masks=masks)
    return Exported(len(chosen), masks, left_out)


def _chosen(project: Project, state: str) -> tuple[set[int], int]:
    """The numbers of images in a state, and how many others there are."""
    if state not in WHICH:
        raise BadOption(f"state of photos: expected one of {', '.join(WHICH)}, got {state!r}")
    query = select(images.c.id)
    if state != "all":
        query = query.where(images.c.state == "annotated")
    if state == "accepted":
        changed = select(events.c.id).where(
            events.c.image_id == tasks.c.image_id, events.c.layer == 0, events.c.sequence > 0,
            events.c.at > tasks.c.closed,
        )  # fmt: skip
        query = query.join(tasks, tasks.c.image_id == images.c.id).where(
            tasks.c.kind == "review", tasks.c.verdict == "accepted", ~changed.exists()
        )
    with project.database.read() as connection:
        total = connection.execute(select(func.count()).select_from(images)).scalar() or 0
        chosen = set(connection.execute(query).scalars())
    if not chosen and state != "all":
        raise BadInput(f"nothing to export: none of the {total} photos is {WHICH[state]}")
    return chosen, total - len(chosen)
