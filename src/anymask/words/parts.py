"""The parts of a phrase that pixels decide, in whatever language it was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Colour = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"
]  # fmt: skip
Size = Literal["large", "small", "tall", "wide", "narrow", "short"]
Place = Literal["left", "right", "top", "bottom", "middle"]
SIZES: tuple[Size, ...] = get_args(Size)


@dataclass(frozen=True, slots=True)
class Order:
    """The `number`th (from 1) along `by`: a side ("left": from the left), "middle", or a size ("large":
    largest).
    """

    number: int
    by: Place | Size

    def told(self, count: int = 1) -> str:
        """ "number 2 from the left", "number 1 to 3 by size, small first"."""
        which = f"number {self.number}" + (f" to {self.number + count - 1}" if count > 1 else "")
        return f"{which} by size, {self.by} first" if self.by in SIZES else f"{which} from the {self.by}"


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
