"""The nouns that words as prompts know: names, vectors, and which lies under which.

A row is one meaning of a noun ("mouse" the device, "mouse (rodent)"). `resolve` finds the row that a person
means and tells how it did; a guess is never silent. Made by `recipes/vocabulary.py`; the card is
`weights/words.json`.

Legend: W words, D numbers of a word's vector (128), S numbers of the sentence encoder (384), N texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from anymask.errors import BadPrompt, WeightsError, mapped
from anymask.words import korean, spelling
from anymask.words.text import clean, foreign_script, quoted

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
TABLES = Path(__file__).resolve().parent / "tables"
NEAREST = 3  # known words that an unknown one is answered with

How = Literal["exact", "alias", "plural", "korean", "emoji", "guess", "encoded"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a noun was taken for.

    `asked`: the noun as it was read. `name`, `row`: the word of the vocabulary. `how`: "exact", "alias"
    (another name of it), "plural", "korean", "emoji", "guess" (corrected spelling) or "encoded" (not in the
    vocabulary: `row` is the nearest word to what an encoder made of it). `others`: other meanings of what was
    asked. `note`: what to tell whoever asked, or "".
    """

    asked: str
    name: str
    row: int
    how: How
    others: tuple[str, ...] = ()
    note: str = ""


class Vocabulary:
    """Names, vectors and kinds of the nouns in a folder of `words.safetensors`, `words.tsv`,
    `words.plurals.tsv`.
    """

    def __init__(self, folder: Path = WEIGHTS) -> None:
        """Raises WeightsError if a file is missing or damaged."""
        damaged = (OSError, ValueError, KeyError, IndexError, SafetensorError)
        with mapped(damaged, WeightsError, f"{folder}: no vocabulary"):
            self.folder = folder
            rows = _table(folder / "words.tsv")
            arrays = load_file(folder / "words.safetensors")
            self.small_WD: NDArray[np.int8] = arrays["vectors_WD"]
            self.mean_S: NDArray[np.float32] = arrays["mean_S"]
            self.projection_SD: NDArray[np.float32] = arrays["projection_SD"]
            self.imagenet_rows: NDArray[np.int32] = arrays["imagenet_rows"]
            self.plurals = {plural: name for plural, name in _table(folder / "words.plurals.tsv")}
        if len(self.small_WD) != len(rows):
            raise WeightsError(f"{folder}: words.tsv has {len(rows)} rows, the vectors {len(self.small_WD)}")
        self.names = tuple(row[0] for row in rows)
        self.senses = tuple(tuple(row[1].split()) for row in rows)
        self.aliases = tuple(tuple(filter(None, row[2].split("|"))) for row in rows)
        self._parents = tuple(tuple(filter(None, row[3].split("|"))) for row in rows)

    @cached_property
    def vectors_WD(self) -> NDArray[np.float32]:
        """Unit vectors of all words."""
        vectors = self.small_WD.astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def project(self, sentences_NS: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of the sentence encoder as unit vectors of the word space, N x D."""
        vectors = (sentences_NS - self.mean_S) @ self.projection_SD
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each name and alias, in lower case."""
        aliases = {
            alias.lower(): row for row, known in enumerate(self.aliases) for alias in known if alias[0] != "~"
        }
        return aliases | {name.lower(): row for row, name in enumerate(self.names)}

    @cached_property
    def homonyms(self) -> Mapping[str, tuple[int, ...]]:
        """Rows that share a name with another word which owns it."""
        found: dict[str, list[int]] = {}
        for row, known in enumerate(self.aliases):
            for alias in known:
                if alias[0] == "~":
                    found.setdefault(alias[1:].lower(), []).append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    @cached_property
    def _sense_rows(self) -> Mapping[str, int]:
        joined = {key.removeprefix("duts:"): row for row, keys in enumerate(self.senses) for key in keys[1:]}
        return {keys[0]: row for row, keys in enumerate(self.senses)} | joined

    def row_of_sense(self, key: str) -> int | None:
        """The row of a WordNet 3.0 synset such as "n02084071"; None if it is not in."""
        return self._sense_rows.get(key)

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """The rows right above each word."""
        row_of = {name: row for row, name in enumerate(self.names)}
        return tuple(tuple(row_of[name] for name in above) for above in self._parents)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The rows right below each word."""
        below: list[list[int]] = [[] for _ in self.names]
        for row, above in enumerate(self.parents):
            for parent in above:
                below[parent].append(row)
        return tuple(map(tuple, below))

    def ancestors(self, row: int) -> frozenset[int]:
        """Everything that the word is a kind of."""
        return _reached(row, self.parents)

    def descendants(self, row: int) -> frozenset[int]:
        """Everything that is a kind of the word."""
        return _reached(row, self.children)

    def related(self, row: int) -> frozenset[int]:
        """The word itself, its ancestors and descendants: no fair rivals of it."""
        return self.ancestors(row) | self.descendants(row) | {row}

    def related_names(self, row: int) -> frozenset[str]:
        """All names and aliases of the related words, in lower case."""
        rows = self.related(row)
        owned = (alias for r in rows for alias in self.aliases[r] if alias[0] != "~")
        return frozenset(name.lower() for name in (*owned, *(self.names[r] for r in rows)))

    def row(self, name: str) -> int | None:
        """The row of an English name, alias or plural in any case; None if there is none."""
        found = self._english(name.lower())
        return None if found is None else found[0]

    def resolve(self, text: str, context: Sequence[str] = ()) -> Resolved:
        """The word that a noun means. `context`: the other words of the phrase, which decide Korean homonyms.

        Raises BadPrompt for what is no noun of the vocabulary, naming the nearest that are.
        """
        found = self.find(text, context)
        if found is not None:
            return found
        asked = clean(text)
        script = foreign_script(asked)
        if script:
            raise BadPrompt(
                f"unknown word: {quoted(asked)} ({script}); nouns are known in English and Korean"
            )
        nearest = f"; nearest known: {', '.join(near)}" if (near := self.nearest(asked)) else ""
        raise BadPrompt(f"unknown word: {quoted(asked)}{nearest}")

    def find(self, text: str, context: Sequence[str] = (), guess: bool = True) -> Resolved | None:
        """As `resolve`, but None for an unknown word. `guess`: whether to correct the spelling."""
        asked = clean(text)
        english = self._english(asked)
        if english is not None:
            row, how = english
            others = tuple(self.names[r] for r in self.homonyms.get(asked, ()) if r != row)
            note = f"{quoted(asked)} is read as {self.names[row]}" if how == "alias" else ""
            return Resolved(asked, self.names[row], row, how, others, note)
        symbol = self.emoji.get(asked)
        if symbol is not None:
            return self._named(asked, symbol, "emoji")
        meaning = korean.look_up(asked, context)
        if meaning is not None:
            return self._named(meaning.noun, meaning.name, "korean", meaning.others)
        return self._guess(asked) if guess else None

    def _named(self, asked: str, name: str, how: How, others: tuple[str, ...] = ()) -> Resolved:
        row = self.rows[name.lower()]
        note = f"{quoted(asked)} is read as {name}"
        if others:
            note += f"; it also means {', '.join(others)}"
        return Resolved(asked, self.names[row], row, how, others, note)

    def _english(self, asked: str) -> tuple[int, How] | None:
        """The row of a name as it is, or of its singular or plural, in British or American spelling."""
        for name in spelling.variants(asked):
            if name in self.rows:
                row = self.rows[name]
                own = self.names[row].lower()
                is_plural = self.plurals.get(asked) == own or own in spelling.singulars(asked)
                return row, "exact" if own == asked else "plural" if is_plural else "alias"
        irregular = [self.plurals[asked]] if asked in self.plurals else []
        for name in (*irregular, *spelling.singulars(asked), *spelling.plurals(asked)):
            if name in self.rows:
                return self.rows[name], "plural"
        return None

    def _guess(self, asked: str) -> Resolved | None:
        """The one known noun that a slip of the fingers away; None if there are several or none."""
        names = {name for name, _ in self._speller.within_slip(asked)}
        rows = {self.rows[name] for name in names}
        if len(rows) != 1:
            return None
        row = rows.pop()
        note = f"{quoted(asked)} is unknown; guessed {self.names[row]}"
        return Resolved(asked, self.names[row], row, "guess", (), note)

    def nearest(self, text: str, count: int = NEAREST) -> list[str]:
        """Known nouns that are spelled like a text, for messages; none for one without letters."""
        asked = clean(text)
        if not any(letter.isalpha() for letter in asked):
            return []
        if korean.is_korean(asked):
            return korean.nearest(asked, count)
        return self._speller.nearest(asked, count)

    @cached_property
    def _speller(self) -> spelling.Speller:
        return spelling.Speller(sorted(self.rows, key=self.rows.__getitem__))

    @cached_property
    def emoji(self) -> Mapping[str, str]:
        """Emoji that stand for nouns, and their English names."""
        return {symbol: name for symbol, name in _table(TABLES / "emoji.tsv")}


@lru_cache(maxsize=1)
def default_vocabulary() -> Vocabulary:
    """The packaged vocabulary, read once."""
    return Vocabulary()


def _table(path: Path) -> list[list[str]]:
    """Rows of a table of tabs; lines that start with # are left out."""
    lines = path.read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def _reached(row: int, links: Sequence[Sequence[int]]) -> frozenset[int]:
    """Every row on a way along the links, without the start."""
    found: set[int] = set()
    waiting = list(links[row])
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += links[here]
    return frozenset(found - {row})
