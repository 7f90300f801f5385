"""What a phrase asks for: a noun, and what pixels can decide (colour, size, place, order, number).

"the two largest red cars on the left" is a car, red, large, on the left, two of them. Words that no pixel
decides are kept as not understood, to be told: never dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anymask.errors import BadPrompt
from anymask.words import english_phrase, korean, korean_phrase
from anymask.words.parts import Colour, Order, Parts, Place, Size
from anymask.words.text import clean, foreign_script, quoted
from anymask.words.vocabulary import Resolved, Vocabulary, default_vocabulary

if TYPE_CHECKING:
    from anymask.words.encoders import TextEncoder


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase, read.

    `noun`: what it was taken for. `colours`: all of which the thing must have. `size`: relative to the
    others. `places`: where its centre is; two name a corner. `order`: only the nth by a side or a size.
    `number`: at most so many. `negated`: what is not wanted. `understood`, `not_understood`: what to tell
    whoever asked. `vector_D`: of a noun that is not in the vocabulary, by an encoder.
    """

    text: str
    noun: Resolved
    colours: tuple[Colour, ...] = ()
    size: Size | None = None
    places: tuple[Place, ...] = ()
    order: Order | None = None
    number: int | None = None
    negated: bool = False
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    vector_D: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def has_attributes(self) -> bool:
        """Whether more than the noun decides which masks are meant."""
        return bool(self.colours or self.size or self.places or self.order or self.number)


def understand(text: str, vocabulary: Vocabulary | None = None, encoder: TextEncoder | None = None) -> Phrase:
    """Read a phrase in English or Korean, such as "two red cars on the left" or "왼쪽에서 두 번째 사람".

    `vocabulary`: the packaged one by default. `encoder`: takes English nouns that are not in it. Raises
    BadPrompt for an empty or too long phrase, control characters, and a noun that nobody knows (the message
    names the nearest that are known).
    """
    known = vocabulary or default_vocabulary()
    whole = clean(text)
    as_it_is = known.find(whole, guess=False)
    if as_it_is is not None and not english_phrase.is_attributed(whole, known):
        return Phrase(whole, as_it_is, understood=_told(as_it_is, Parts()))
    read = korean_phrase.read if korean.is_korean(whole) else english_phrase.read
    parts = read(whole, known)
    if not parts.noun:
        raise BadPrompt(f'no noun in {quoted(whole)}; expected one, as in "red car" or "왼쪽 사람"')
    vector_D = None
    noun = known.find(parts.noun, parts.context)
    if (
        noun is None
        and encoder is not None
        and foreign_script(parts.noun) is None
        and not korean.is_korean(whole)
    ):
        vector_D = encoder.encode([parts.noun])[0]
        noun = _encoded(parts.noun, vector_D, known)
    noun = noun or known.resolve(parts.noun, parts.context)
    return Phrase(
        whole, noun, tuple(dict.fromkeys(parts.colours)), parts.size, tuple(dict.fromkeys(parts.places)),
        parts.order, parts.number, parts.negated, _told(noun, parts), tuple(parts.ignored),
        vector_D,
    )  # fmt: skip


def _encoded(noun: str, vector_D: NDArray[np.float32], known: Vocabulary) -> Resolved:
    """A noun outside the vocabulary, with the word that is nearest to it."""
    cosines_W = known.vectors_WD @ vector_D
    row = int(np.argmax(cosines_W))
    nearest = f"{known.names[row]} ({cosines_W[row]:.2f})"
    note = f"{quoted(noun)} is not in the vocabulary; the nearest word is {nearest}"
    return Resolved(noun, noun, row, "encoded", (), note)


def _told(noun: Resolved, parts: Parts) -> tuple[str, ...]:
    """Each thing understood, in a few words."""
    told = [f"not {noun.name}" if parts.negated else noun.name]
    told += [noun.note] if noun.note else []
    told += [f"colour: {colour}" for colour in dict.fromkeys(parts.colours)]
    told += [f"size: {parts.size}"] if parts.size else []
    told += [f"place: {' '.join(dict.fromkeys(parts.places))}"] if parts.places else []
    told += [f"order: {parts.order.told(parts.number or 1)}"] if parts.order else []
    told += [f"number: {parts.number}"] if parts.number else []
    return tuple(told)
