"""The parts of a phrase that pixels decide, in whatever language it was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Colour = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"
]  # fmt: skip
Size = Literal["large", "small", "tall", "wide", "narrow", "short"]
Place = Literal["left", "right", "top", "bottom", "middle"]


@dataclass(frozen=True, slots=True)
class Order:
    """The `number`th (from 1) along `by`: a side ("left": from the left), "middle", or a size ("large": largest)."""

    number: int
    by: Place | Size

    def __str__(self) -> str:
        nth = f"number {self.number}"
        if self.by in ("left", "right", "top", "bottom"):
            return f"{nth} from the {self.by}"
        if self.by == "middle":
            return f"{nth} from the middle"
        return f"{nth} by size, {self.by} first"


@dataclass(slots=True)
class Parts:
    """What has been read of a phrase so far.

    `noun`, `context`: the words of the noun, and all others. `understood`, `ignored`: what to tell.
    """

    noun: str = ""
    context: tuple[str, ...] = ()
    colours: list[Colour] = field(default_factory=list)
    size: Size | None = None
    places: list[Place] = field(default_factory=list)
    order: Order | None = None
    number: int | None = None
    negated: bool = False
    ignored: list[str] = field(default_factory=list)
