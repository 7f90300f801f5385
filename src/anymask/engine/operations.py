"""Operations: what a person does to the masks of an image, as they come from a page or a script.

Checked values, no store: `editing` makes one save of them. Strings hold no null characters and numbers are
finite, so that every database takes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from anymask.store.values import MAX_UID

MAX_OPERATIONS = 2_000  # in one save
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]+$", max_length=MAX_UID)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
Category = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=100)]


class Checked(BaseModel):
    """Unknown fields are refused: a misspelled one would be lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunLengths(Checked):
    """COCO's compressed run lengths; `size`: height, width."""

    size: tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], Annotated[int, Field(ge=1, le=2**31 - 1)]]
    counts: Annotated[str, StringConstraints(max_length=8_000_000)]


class NewMask(Checked):
    """A mask that a person made. `prompts`, `offered`, `taken`: how; `seconds`: active time."""

    uid: Uid
    rle: RunLengths
    category: Category | None = None
    stage: Literal["manual", "semi"] = "manual"
    seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    model: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=64)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    prompts: Annotated[list[PromptTold], Field(max_length=200)] = []
    offered: Annotated[list[Line], Field(max_length=50)] = []
    taken: Line | None = None

    def more(self) -> dict[str, Any]:
        """What the store keeps beside its own columns."""
        told = self.model_dump(include={"prompts", "offered", "taken"}, exclude_none=True, mode="json")
        return {name: value for name, value in told.items() if value}


class PromptTold(Checked):
    """A prompt as it was sent; masks of it are not kept."""

    points: Annotated[list[tuple[float, float]], Field(max_length=200)] = []
    labels: Annotated[list[Literal[0, 1]], Field(max_length=200)] = []
    box: tuple[float, float, float, float] | None = None
    text: Line | None = None
    previous: Line | None = None
    view: tuple[float, float, float, float] | None = None
    mask: Any = Field(default=None, exclude=True)


class Add(Checked):
    """A new mask."""

    op: Literal["add"]
    mask: NewMask


class Replace(Checked):
    """Another mask instead of one, its child."""

    op: Literal["replace"]
    uid: Uid
    mask: NewMask


class Delete(Checked):
    """Away with it; it stays in the history."""

    op: Literal["delete"]
    uid: Uid


class Restore(Checked):
    """One that was deleted or replaced comes back as it was, under another uid."""

    op: Literal["restore"]
    uid: Uid
    new_uid: Uid


class Label(Checked):
    """Another category."""

    op: Literal["label"]
    uid: Uid
    new_uid: Uid
    category: Category | None


class Accept(Checked):
    """A person says that a mask of the model is right."""

    op: Literal["accept"]
    uid: Uid
    new_uid: Uid


class Merge(Checked):
    """Several become one."""

    op: Literal["merge"]
    uids: Annotated[list[Uid], Field(min_length=2, max_length=500)]
    new_uid: Uid
    category: Category | None = None


class Split(Checked):
    """One becomes several: the given parts, or its connected pieces, largest first."""

    op: Literal["split"]
    uid: Uid
    new_uids: Annotated[list[Uid], Field(min_length=2, max_length=500)]
    parts: Annotated[list[RunLengths], Field(min_length=2, max_length=500)] | None = None


Operation = Annotated[
    Add | Replace | Delete | Restore | Label | Accept | Merge | Split, Field(discriminator="op")
]
NewMask.model_rebuild()
