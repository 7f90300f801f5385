"""English phrases: "the second person from the left", "two red dogs", "largest car"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from anymask.words.lexicon import lexicon
from anymask.words.parts import Colour, Order, Parts, Place, Size
from anymask.words.vocabulary import Vocabulary

LEXICON = lexicon("en")
COLOURS: Mapping[str, Colour] = LEXICON["colour"]
SIZES: Mapping[str, Size] = LEXICON["size"]
MOST: Mapping[str, Size] = LEXICON["most"]
OUTERMOST: Mapping[str, Place] = LEXICON["outermost"]
PLACES: Mapping[str, Place] = LEXICON["place"]
NUMBERS: Mapping[str, int] = LEXICON["number"]
ORDINALS: Mapping[str, int] = LEXICON["ordinal"]
FILLERS, NEGATIONS = LEXICON["filler"].keys(), LEXICON["negation"].keys()
AROUND_PLACES = LEXICON["around a place"].keys()
RELATIONS = LEXICON["relation"].keys()  # the noun is before these; what follows describes it by other things
GROUPS = LEXICON["group"].keys()
NOUNS_TOO = LEXICON["noun too"].keys()  # "an orange", "a top", but not "a red"
MAX_NUMBER = 1000
NTH = re.compile(r"(\d+)(?:st|nd|rd|th)")


def is_attributed(text: str, known: Vocabulary) -> bool:
    """Whether a known noun is rather one with a size or a place ("big cat", "left hand"), or none ("red")."""
    first, _, rest = text.partition(" ")
    if not rest:
        return _is_attribute(text) and text not in NOUNS_TOO
    noun = known.find(rest, guess=False) if first in SIZES or first in PLACES or first in COLOURS else None
    return noun is not None and not (first in COLOURS and _is_kind(text, noun.row, known))


def _is_kind(text: str, row: int, known: Vocabulary) -> bool:
    """Whether "black bear" is a kind of bear, or famous, as "red panda" is; a "blue flag" is no flag."""
    compound = known.find(text, guess=False)
    return compound is not None and (
        compound.row in known.descendants(row) or compound.row in known.imagenet_rows
    )


def read(text: str, known: Vocabulary) -> Parts:
    """Take the words apart. The noun is what is left to be looked up; it may be unknown."""
    parts = Parts()
    words = text.replace(",", " ").split()
    while words and words[0] in (*NEGATIONS, "the", "a", "an"):
        parts.negated |= words.pop(0) in NEGATIONS
    words = _of_groups(_places(words, parts), parts)
    head, tail = _split(words, known)
    start, end = _noun_span(head, known)
    parts.noun = " ".join(head[start:end])
    parts.context = (*head[:start], *head[end:], *tail)
    for word in (*head[:start], *head[end:]):
        _attribute(word, parts)
    if tail:
        parts.ignored.append(" ".join(tail))
    return parts


def _places(words: Sequence[str], parts: Parts) -> list[str]:
    """Take "on the left", "from the left", "in the top right corner" out; a bare "left" stays for later."""
    left: list[str] = []
    at = 0
    while at < len(words):
        end = at
        while end < len(words) and (words[end] in AROUND_PLACES or words[end] in PLACES):
            end += 1
        found = [PLACES[word] for word in words[at:end] if word in PLACES]
        if found and words[at] in AROUND_PLACES - {"the", "of"}:
            if end < len(words) and "of" in words[at:end] and "from" not in words[at:end]:
                return [*left, *words[at:]]  # "on the left of the cat" says where by another thing
            if "from" in words[at:end]:
                parts.order = Order(_ordinal(left), found[-1])
            else:
                parts.places += found
            at = end
        else:
            left.append(words[at])
            at += 1
    return left


def _ordinal(words: list[str]) -> int:
    """The ordinal said before "from the left", taken out of the words; 1 without one."""
    for at, word in enumerate(words):
        if number := _nth(word):
            del words[at]
            return number
    return 1


def _nth(word: str) -> int | None:
    """2 for "second", 12 for "12th"; None for what is no ordinal."""
    digits = NTH.fullmatch(word)
    return max(1, int(digits[1])) if digits else ORDINALS.get(word)


def _of_groups(words: list[str], parts: Parts) -> list[str]:
    """ "a pair of dogs" is two dogs; "slice of pizza" is pizza."""
    for at, word in enumerate(words[:-2]):
        if word in GROUPS and words[at + 1] == "of":
            if word in ("pair", "couple"):
                parts.number = 2
            return [*words[:at], *words[at + 2 :]]
    return words


def _split(words: list[str], known: Vocabulary) -> tuple[list[str], list[str]]:
    """What comes before a word such as "with" or "wearing", and the rest. "glass of water" stays whole if
    known.
    """
    for at, word in enumerate(words):
        if at and (word in RELATIONS or word in NEGATIONS) and not set(words[:at]) <= FILLERS | set(NUMBERS):
            whole = next((n for n in range(len(words), at + 1, -1) if _is_known(words[:n], known)), None)
            return (words, []) if whole == len(words) else (words[:at], words[at:])
    return words, []


def _is_known(words: Sequence[str], known: Vocabulary) -> bool:
    ends = (words[start:] for start in range(len(words) - 2))
    return any(known.find(" ".join(end), guess=False) for end in ends)


def _noun_span(words: Sequence[str], known: Vocabulary) -> tuple[int, int]:
    """Where the noun is: the longest known name that ends at the last word which is no attribute."""
    ends = [n for n in range(len(words), 0, -1) if not _is_attribute(words[n - 1])]
    ends = ends or [n for n in range(len(words), 0, -1) if words[n - 1] in NOUNS_TOO]
    for end in ends:
        for start in range(end):
            name = " ".join(words[start:end])
            if (
                known.find(name, guess=False)
                and not is_attributed(name, known)
                and words[start] not in FILLERS
            ):
                return start, end
    return next(((n, end) for end in ends[:1] for n in range(end) if not _is_attribute(words[n])), (0, 0))


def _is_attribute(word: str) -> bool:
    tables = (FILLERS, COLOURS, SIZES, MOST, OUTERMOST, PLACES, NUMBERS)
    return word.isdecimal() or _nth(word) is not None or any(word in table for table in tables)


def _attribute(word: str, parts: Parts) -> None:
    """Put what a word says into `parts`."""
    stem = word.removesuffix("-colored").removesuffix("-coloured")
    if stem in COLOURS:
        parts.colours.append(COLOURS[stem])
    elif word in MOST:
        parts.order = Order(parts.order.number if parts.order else 1, MOST[word])
    elif word in SIZES:
        parts.size = SIZES[word]
    elif word in OUTERMOST:
        parts.order = Order(1, OUTERMOST[word])
    elif number := _nth(word):
        parts.order = Order(number, parts.order.by if parts.order else "left")
    elif word in PLACES:
        parts.places.append(PLACES[word])
    elif word in NUMBERS or word.isdecimal() and 1 <= int(word) <= MAX_NUMBER:
        parts.number = NUMBERS.get(word) or int(word)
    elif word not in FILLERS:
        parts.ignored.append(word)
