"""Where people who annotated the same photo blind agree, and where they do not. For reviewers: annotators are
not to see each other's masks.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from anymask.engine.agreement import (
    COMPARED,
    SAME_IOU,
    Comparison,
    Pair,
    Twice,
    agreements,
    by_people,
    compare_submitted,
    mean_agreement,
)
from anymask.store import images, tasks
from anymask.web.errors import Refused
from anymask.web.routes_images import find
from anymask.web.schemas import Id, Limit
from anymask.web.studio import Studio, image_told, studio_of

router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Offset = Annotated[int, Query(ge=0, le=100_000)]
MaybeLayer = Annotated[int | None, Query(ge=0, le=1_000)]


@router.get("/agreement")
def agreement(studio: TheStudio, offset: Offset = 0, limit: Limit = 50) -> dict[str, Any]:
    """Of the last photos that several people have finished, the least agreement first; who agrees with whom.

    `next` is the `offset` of the page behind.
    """
    found = agreements(studio.project)
    page = found[offset : offset + limit]
    return {
        "agreement": mean_agreement(found),
        "most": COMPARED,
        "photos": len({one.image_id for one in found}),
        "people": [asdict(one) for one in by_people(found)],
        "comparisons": [_comparison_told(studio, one) for one in page],
        "next": offset + limit if offset + limit < len(found) else None,
    }


def _comparison_told(studio: Studio, one: Twice) -> dict[str, Any]:
    row = images.image(studio.project.database, one.image_id)
    names = ("id", "name", "hash", "width", "height")
    told = {name: value for name, value in asdict(one).items() if name != "image_id"}
    return {"image": {name: getattr(row, name) for name in names}, **told}


@router.get("/images/{image_id}/agreement")
def agreement_of(
    image_id: Id, studio: TheStudio, a: MaybeLayer = None, b: MaybeLayer = None
) -> dict[str, Any]:
    """Two layers of a photo as they were submitted first, by default the first two: pairs of masks, and masks
    that one of them has alone.

    Masks are named by their uids; /masks?layer=&revision= has them.
    """
    row = find(studio, image_id)
    database = studio.project.database
    overlaps = tasks.overlapping(database, limit=1, image_id=image_id)
    people = {one.layer: one for one in overlaps[0].people} if overlaps else {}
    layers = list(people)[:2] if a is None or b is None else [a, b]
    if len(set(layers)) < 2 or not set(layers) <= set(people):
        raise Refused(404, f"photo {image_id}: no two people have annotated it blind")
    seen = compare_submitted(database, image_id, people[layers[0]], people[layers[1]])
    return {
        "image": image_told(row),
        "people": [
            {"layer": one.layer, "name": one.user, "revision": one.revision} for one in people.values()
        ],
        "layers": layers,
        "same_iou": SAME_IOU,
        **_told(seen),
    }


def _told(seen: Comparison) -> dict[str, Any]:
    return {
        "agreement": seen.agreement,
        "disagreements": seen.disagreements,
        "counts": seen.counts,
        "pairs": [_pair_told(one) for one in seen.pairs],
        "only_a": [one.uid for one in seen.only_a],
        "only_b": [one.uid for one in seen.only_b],
    }


def _pair_told(one: Pair) -> dict[str, Any]:
    return {"a": one.a.uid, "b": one.b.uid, "iou": one.iou, "differs": list(one.differs)}
