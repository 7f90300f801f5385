"""English forms of a noun: plurals, British and American spelling, slips of the fingers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyz '-"
SHORT, LONG = 4, 8  # letters from which one slip, and two, are forgiven
SPELLINGS = Path(__file__).resolve().parent / "tables" / "spellings.tsv"
LOOKED_AT = 200  # names compared in full for a message


def variants(name: str) -> list[str]:
    """The name, and as it is spelled on the other side of the Atlantic or with other joints ("tea-pot", "tea
    pot").
    """
    words = name.split(" ")
    swapped = " ".join(_spellings().get(word, word) for word in words)
    possessive = " ".join(word.removesuffix("'s") for word in words)
    forms = [name, swapped, possessive, name.replace("-", " "), name.replace("-", ""), name.replace(" ", "-")]
    if len(words) == 2:
        forms.append("".join(words))
    return list(dict.fromkeys(forms))


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """Pairs of British and American spellings, both ways."""
    lines = [line.split("\t") for line in SPELLINGS.read_text("utf-8").splitlines() if line[:1] != "#"]
    return {a: b for a, b in lines} | {b: a for a, b in lines}


def singulars(name: str) -> Iterator[str]:
    """What a plural may be the plural of, likeliest first."""
    for form in variants(name):
        if form.endswith("ies"):
            yield form[:-3] + "y"
        if form.endswith("ves"):
            yield form[:-3] + "f"
            yield form[:-3] + "fe"
        if form.endswith("men"):
            yield form[:-3] + "man"
        if form.endswith("sses"):
            yield form[:-2]
        if form.endswith("s") and not form.endswith("ss"):
            yield form[:-1]  # before the next: kites are no kits, capes no caps
        if form.endswith("es"):
            yield form[:-2]
        if form.startswith("pair of "):
            yield form.removeprefix("pair of ")


def plurals(name: str) -> Iterator[str]:
    """Plurals of a name, for nouns that are listed as such ("scissor", "trouser")."""
    if len(name) >= SHORT:
        yield name + "s"


class Speller:
    """Finds names that are spelled like a text."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.counts_NL = letter_counts(names)

    def within_slip(self, text: str) -> list[tuple[str, int]]:
        """Names one slip away, or two for long texts: the nearest ones, with the number of slips."""
        if len(text) < SHORT:
            return []
        slips = 1 if len(text) < LONG else 2
        apart_N = self._apart(text)
        found = []
        for row in np.flatnonzero(apart_N <= 2 * slips).tolist():
            distance = edit_distance(text, self.names[row], slips)
            if distance <= slips and self.names[row][0] == text[0]:
                found.append((self.names[row], distance))
        nearest = min((distance for _, distance in found), default=0)
        return [(name, distance) for name, distance in found if distance == nearest]

    def nearest(self, text: str, count: int) -> list[str]:
        """The names most like a text, best first."""
        rows = np.argsort(self._apart(text), kind="stable")[:LOOKED_AT].tolist()
        return [self.names[row] for row in sorted(rows, key=lambda row: self._unlike(text, row))][:count]

    def _unlike(self, text: str, row: int) -> tuple[int, bool, int]:
        """Slips, then another first letter, then less everyday."""
        name = self.names[row]
        return edit_distance(text, name, 99), name[0] != text[0], row

    def _apart(self, text: str) -> NDArray[np.int64]:
        """A lower bound of twice the slips: how many letters differ."""
        difference = self.counts_NL.astype(np.int64) - letter_counts([text]).astype(np.int64)
        apart: NDArray[np.int64] = np.abs(difference).sum(1)
        return apart


def letter_counts(names: Sequence[str]) -> NDArray[np.uint8]:
    """How often each letter is in each name; the last column counts all others."""
    place = {letter: column for column, letter in enumerate(LETTERS)}
    counts = np.zeros((len(names), len(LETTERS) + 1), np.uint8)
    rows = [row for row, name in enumerate(names) for _ in name]
    columns = [place.get(letter, len(LETTERS)) for name in names for letter in name]
    np.add.at(counts, (rows, columns), 1)
    return counts


def edit_distance(first: str, second: str, limit: int) -> int:
    """Letters put in, left out, changed or swapped with their neighbour; `limit + 1` if there are more.

    Source: Damerau 1964; the restricted form, in which no letter moves twice.
    """
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            least = min(row[-1] + 1, last[j] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        if min(row) > limit:
            return limit + 1
        before, last = last, row
    return last[-1]
