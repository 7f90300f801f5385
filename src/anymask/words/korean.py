"""Korean nouns: a table to English ones, particles that cling to them, words of several meanings.

A word of several meanings is read as what photos show most ("배" is a boat), unless the words beside it say
otherwise ("배 두 개", "먹는 배": a pear); the answer names the other meanings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from anymask.words.lexicon import lexicon

TABLE = Path(__file__).resolve().parent / "tables" / "korean.tsv"
# Longest first. What remains must be a noun of the table, so that "고양이" keeps its end.
PARTICLES = tuple(lexicon("ko")["particle"])
FIRST, LAST = 0xAC00, 0xD7A3  # the syllables of Unicode
VOWELS, ENDS = 21, 28  # of a syllable


@dataclass(frozen=True, slots=True)
class Meaning:
    """`noun`: the word of the table. `name`: the English noun. `others`: the nouns that it may mean too."""

    noun: str
    name: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    cues: Mapping[str, tuple[str, ...]]  # other noun: words that call for it


def is_korean(text: str) -> bool:
    """Whether there is a Hangul syllable in it."""
    return any(FIRST <= ord(character) <= LAST for character in text)


def look_up(noun: str, context: Sequence[str] = ()) -> Meaning | None:
    """What a Korean noun means beside the words of `context`; None if the table does not have it."""
    found = next((form for form in forms(noun) if form in entries()), None)
    if found is None:
        return None
    entry = entries()[found]
    words = {form for word in context for form in (word, *stems(word))}
    called = next((name for name, cues in entry.cues.items() if words.intersection(cues)), entry.name)
    return Meaning(found, called, tuple(name for name in (entry.name, *entry.cues) if name != called))


def forms(noun: str) -> Iterator[str]:
    """The noun as it is, without particles, and both without spaces."""
    for whole in dict.fromkeys((noun, noun.replace(" ", ""))):
        yield whole
        yield from stems(whole)


def stems(word: str) -> Iterator[str]:
    """What is left of a word without a particle, longest particle first."""
    for particle in PARTICLES:
        if word.endswith(particle) and len(word) > len(particle):
            yield word.removesuffix(particle)


def nearest(text: str, count: int) -> list[str]:
    """Nouns of the table whose letters are most like a text's, best first, for messages."""
    wanted = _pairs(text.replace(" ", ""))

    def unlike(noun: str) -> tuple[float, int, str]:
        pairs = _pairs(noun)
        return -2 * len(wanted & pairs) / (len(wanted) + len(pairs)), len(noun), noun

    return sorted(entries(), key=unlike)[:count]


def _pairs(text: str) -> frozenset[str]:
    """Neighbouring letters (jamo) of a text."""
    letters = "".join(_jamo(character) for character in text)
    return frozenset(letters[i : i + 2] for i in range(len(letters) - 1)) or frozenset((letters,))


def _jamo(character: str) -> str:
    """The first consonant, vowel and end of a syllable, one character each; other characters as they are."""
    code = ord(character) - FIRST
    if not 0 <= code <= LAST - FIRST:
        return character
    start, rest = divmod(code, VOWELS * ENDS)
    vowel, end = divmod(rest, ENDS)
    return chr(0x1100 + start) + chr(0x1161 + vowel) + (chr(0x11A7 + end) if end else "")


@lru_cache(maxsize=1)
def entries() -> Mapping[str, _Entry]:
    """The table, read once."""
    found: dict[str, _Entry] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            noun, name, *others = line.split("\t")
            found[noun] = _Entry(name, dict(map(_cue, others[0].split("; "))) if others else {})
    return {noun.replace(" ", ""): entry for noun, entry in found.items()} | found


def _cue(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, words = text.partition(": ")
    return name, tuple(words.split())
