"""What the routes take and give, as checked values. Frames: pixels of the upright photo."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Path, Query
from pydantic import Field, StringConstraints

from anymask.core.mask import Mask
from anymask.engine.editing import mask_of
from anymask.engine.operations import MAX_OPERATIONS, Category, Checked, Line, Operation, RunLengths
from anymask.store.users import ROLES
from anymask.store.values import StoredMask

MAX_ID = 2**31 - 1
MAX_BATCH = 200  # actions of one request
MAX_CLASSES = 1_000
Id = Annotated[int, Path(ge=0, le=MAX_ID)]
Fingerprint = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
After = Annotated[int, Query(ge=0, le=MAX_ID)]
Layer = Annotated[int, Query(ge=0, le=1_000)]
MaybeRevision = Annotated[int | None, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=500)]
Token = Annotated[int, Field(ge=0, le=MAX_ID)]
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=64)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=2_000)]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Coordinate = Annotated[float, Field(ge=-1e7, le=1e7)]
Share = Annotated[float, Field(ge=0, le=1)]
Role = Literal["admin", "reviewer", "annotator"]
assert set(ROLES) == {"admin", "reviewer", "annotator"}


class ClassOfMasks(Checked):
    """A category that people choose from."""

    name: Category
    color: Color


class Settings(Checked):
    """Of the studio, for everybody. `review_share`: of annotated photos, that a second person looks at.
    `overlap_share`: of photos, that two people annotate without seeing each other's masks.
    """

    classes: Annotated[list[ClassOfMasks], Field(max_length=MAX_CLASSES)] = []
    min_probability: Share = 0.5
    review_share: Share = 0.0
    overlap_share: Share = 0.0
    notes: Text = ""


class SettingsChange(Checked):
    """What is not there stays."""

    classes: Annotated[list[ClassOfMasks], Field(max_length=MAX_CLASSES)] | None = None
    min_probability: Share | None = None
    review_share: Share | None = None
    overlap_share: Share | None = None
    notes: Text | None = None


class Held(Checked):
    """The lease that a request works under."""

    task: Token
    token: Token


class Holding(Checked):
    """The token of the lease of the task in the path."""

    token: Token


class NextTask(Checked):
    kinds: Annotated[list[Literal["annotate", "review", "audit"]], Field(max_length=3)] | None = None


class Opening(Checked):
    """`take_over`: also from somebody who holds the photo or for whom it is kept."""

    take_over: bool = False


class Skipping(Holding):
    reason: Annotated[Text, Field(min_length=1)]


class Submitting(Holding):
    seconds: Annotated[float, Field(ge=0, le=864_000)] | None = None


class Reviewing(Holding):
    verdict: Literal["accepted", "returned"]
    reason: Text = ""


class Edits(Checked):
    """One save: atomic, and one step of undo."""

    lease: Held
    operations: Annotated[list[Operation], Field(min_length=1, max_length=MAX_OPERATIONS)]


class KeyedEdits(Checked):
    key: Key
    operations: Annotated[list[Operation], Field(min_length=1, max_length=MAX_OPERATIONS)]


class EditsBatch(Checked):
    """Saves that waited, in their order."""

    lease: Held
    actions: Annotated[list[KeyedEdits], Field(min_length=1, max_length=MAX_BATCH)]


class PromptAsked(Checked):
    """`previous`: the id of an earlier candidate that is corrected. `view`: what of a large photo is on the
    screen.
    """

    points: Annotated[list[tuple[Coordinate, Coordinate]], Field(max_length=200)] = []
    labels: Annotated[list[Literal[0, 1]], Field(max_length=200)] | None = None
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    mask: RunLengths | None = None
    previous: Line | None = None
    text: Line | None = None
    view: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None

    def arguments(self) -> dict[str, Any]:
        """For `EncodedImage.segment`, without `previous`. Raises BadInput."""
        mask: Mask | None = None if self.mask is None else mask_of(self.mask)
        return {
            "points": np.array(self.points, np.float64) if self.points else None,
            "labels": self.labels or None,
            "box": self.box,
            "mask": mask,
            "text": self.text,
            "view": self.view,
        }


class Asking(Checked):
    """`client`: a tab; `seq`: counts its prompts, the newest one wins."""

    client: Line
    seq: Annotated[int, Field(ge=0, le=2**53)]
    prompt: PromptAsked


class PromptRequest(Asking):
    steps: list[Literal["look", "best", "alternatives"]] = ["look", "best", "alternatives"]


class Encoding(Checked):
    priority: Literal["now", "soon"] = "soon"


class EverythingRequest(Checked):
    client: Line
    seq: Annotated[int, Field(ge=0, le=2**53)]
    preset: Literal["default", "precise"] = "default"
    min_probability: Share = 0.1
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None


class FindRequest(Checked):
    client: Line
    seq: Annotated[int, Field(ge=0, le=2**53)]
    text: Line
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None


class Filling(Checked):
    stage: Literal["prefilled", "automatic"] = "prefilled"
    min_probability: Share = 0.5


class Training(Checked):
    quick: bool = False


class Exporting(Checked):
    format: Line = "coco"
    photos: Literal["none", "copy"] = "none"
    state: Literal["all", "done", "accepted"] = "all"


class Promoting(Checked):
    why: Line = ""


class SignIn(Checked):
    name: Name
    password: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class UserChange(Checked):
    role: Role | None = None
    active: bool | None = None


class Inviting(Checked):
    name: Name
    role: Role = "annotator"


class AcceptingInvitation(Checked):
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
    password: Annotated[str, StringConstraints(min_length=10, max_length=1_000)]


class NewToken(Checked):
    label: Line = ""


def mask_told(one: StoredMask, origin: str | None) -> dict[str, Any]:
    """A mask without its pixels; its origin is that of `by_origin`."""
    return {
        "uid": one.uid,
        "box": list(one.mask.box_xyxy),
        "area": one.mask.area,
        "category": one.category,
        "author": one.author,
        "stage": one.stage,
        "round": one.round,
        "model": one.model,
        "probability": one.probability,
        "seconds": one.seconds,
        "parent": one.parent,
        "origin": origin,
        "verdict": one.more.get("verdict"),
    }


def whole_mask_told(one: StoredMask, origin: str | None) -> dict[str, Any]:
    return {**mask_told(one, origin), "rle": one.mask.rle}
