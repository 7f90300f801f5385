"""Korean phrases: "빨간 차 두 대", "왼쪽에서 두 번째 사람", "가장 큰 개"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from anymask.words.korean import stems
from anymask.words.lexicon import lexicon
from anymask.words.parts import Colour, Order, Parts, Place, Size
from anymask.words.vocabulary import Vocabulary

LEXICON = lexicon("ko")
COLOURS: Mapping[str, Colour] = LEXICON["colour"]
SIZES: Mapping[str, Size] = LEXICON["size"]
PLACES: Mapping[str, Place] = LEXICON["place"]
NUMBERS: Mapping[str, int] = LEXICON["number"]
COUNTERS, MOST, FIRST = LEXICON["counter"].keys(), LEXICON["most"].keys(), LEXICON["first"].keys()
FILLERS, NEGATIONS = LEXICON["filler"].keys(), LEXICON["negation"].keys()
OBJECTS, SUBJECTS = tuple(LEXICON["object"]), ("이", "가")
COUNTED = re.compile(rf"({'|'.join(NUMBERS)}|\d+)({'|'.join(sorted(COUNTERS, key=len, reverse=True))})")
NTH = re.compile(rf"({'|'.join(NUMBERS)}|첫|\d+)번째")


def read(text: str, known: Vocabulary) -> Parts:
    """Take the words apart. The noun is the last one that is known."""
    parts = Parts()
    words = _joined(text.replace(",", " ").split())
    words = _orders(_numbers([word for word in words if not _negates(word, parts)], parts), parts)
    start, end = _noun_span(words, known)
    parts.noun = " ".join(words[start:end])
    before, after = _described(words[:start], parts), words[end:]
    parts.context = (*words[:start], *words[end:], *parts.context)
    for word in (*before, *after):
        _attribute(word, parts)
    return parts


def _joined(words: Sequence[str]) -> list[str]:
    """ "두 번째" becomes "두번째", "키 큰" becomes "키큰"."""
    joined: list[str] = []
    for word in words:
        if joined and (word.startswith(("번째", "번 째")) or (word == "큰" and joined[-1] in ("키", "키가"))):
            joined[-1] = joined[-1].removesuffix("가") + word
        else:
            joined.append(word)
    return joined


def _negates(word: str, parts: Parts) -> bool:
    parts.negated |= word in NEGATIONS
    return word in NEGATIONS


def _numbers(words: list[str], parts: Parts) -> list[str]:
    """Take "두 대", "3마리", "세 명의" out."""
    left: list[str] = []
    at = 0
    while at < len(words):
        pair = "".join(words[at : at + 2])
        for taken, text in ((1, words[at]), (2, pair)):
            found = next((m for form in (text, *stems(text)) if (m := COUNTED.fullmatch(form))), None)
            if found:
                parts.number = _number(found[1])
                is_alone = at + taken == len(words) and all(map(_is_attribute, left))  # "두 개" is two dogs
                left += [found[2]] if is_alone else []
                parts.context = (*parts.context, found[2])
                break
        else:
            left.append(words[at])
            taken = 1
        at += taken
    return left


def _number(text: str) -> int | None:
    number = NUMBERS.get(text) or int(text)
    return number if 1 <= number <= 1000 else None


def _orders(words: list[str], parts: Parts) -> list[str]:
    """Take "왼쪽에서 두번째", "맨 왼쪽", "가장 큰", "두번째로 큰" out."""
    left: list[str] = []
    nth: int | None = None
    side: Place | None = None
    is_most = False
    for word in words:
        by = _size_or_place(word)
        if (number := _nth(word)) is not None:
            nth = number
            parts.order = Order(nth, side or "left")
        elif word in MOST:
            is_most = True
        elif by and (is_most or (nth and not side and by in SIZES.values())):
            parts.order = Order(nth or 1, by)
            is_most = False
        elif word.endswith("에서") and word.removesuffix("에서") in PLACES:
            side = PLACES[word.removesuffix("에서")]
        else:
            left.append(word)
    return left


def _nth(word: str) -> int | None:
    """1 for "첫번째", 3 for "세번째"; None for what is no ordinal."""
    if word in FIRST:
        return 1
    found = next((m for form in (word, *stems(word)) if (m := NTH.fullmatch(form))), None)
    if found is None:
        return None
    return 1 if found[1] in FIRST else max(1, NUMBERS.get(found[1]) or int(found[1]))


def _size_or_place(word: str) -> Size | Place | None:
    forms = (word, *stems(word))
    return next((SIZES.get(f) or PLACES.get(f) for f in forms if f in SIZES or f in PLACES), None)


def _noun_span(words: Sequence[str], known: Vocabulary) -> tuple[int, int]:
    """Where the noun is: the longest known name that ends last; attributes only if there is nothing else."""
    for plain in (True, False):
        for end in range(len(words), 0, -1):
            if plain and _is_attribute(words[end - 1]):
                continue
            for start in range(end):
                name = " ".join(words[start:end])
                if known.find(name, guess=False) and not (end - start > 1 and _is_attribute(words[start])):
                    return start, end
    rest = [n for n, word in enumerate(words) if not _is_attribute(word)]
    return (rest[-1], rest[-1] + 1) if rest else (0, 0)


def _is_attribute(word: str) -> bool:
    forms = (word, *stems(word))
    return any(form in table for form in forms for table in (COLOURS, SIZES, PLACES, FILLERS, MOST))


def _described(words: Sequence[str], parts: Parts) -> list[str]:
    """What is said of the noun itself; "빨간 모자를 쓴" is about a hat and goes to what is not understood."""
    for at in range(len(words) - 1, 0, -1):
        if not _is_attribute(words[at - 1]) and _describes(words[at - 1], words[at]):
            parts.ignored.append(" ".join(words[: at + 1]))
            return list(words[at + 1 :])
    return list(words)


def _describes(other: str, word: str) -> bool:
    """Whether a word goes with the noun before it: "모자를 쓴", "눈이 큰", "탁자 위의"."""
    forms = (word, *stems(word))
    if any(form in PLACES for form in forms):
        return True
    is_size = any(form in SIZES for form in forms)
    return other.endswith(SUBJECTS if is_size else OBJECTS) and (is_size or not _is_attribute(word))


def _attribute(word: str, parts: Parts) -> None:
    """Put what a word says into `parts`."""
    for form in (word, *stems(word)):
        if form in COLOURS:
            parts.colours.append(COLOURS[form])
            return
        if form in SIZES:
            parts.size = SIZES[form]
            return
        if form in PLACES:
            parts.places.append(PLACES[form])
            return
        if form in FILLERS:
            return
    parts.ignored.append(word)
