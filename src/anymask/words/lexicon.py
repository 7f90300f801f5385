"""The words with a meaning to pixels or to the grammar, in both languages: `tables/lexicon.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parent / "tables" / "lexicon.tsv"


@lru_cache(maxsize=2)
def lexicon(language: str) -> Mapping[str, Mapping[str, Any]]:
    """Of each kind ("colour", "number", ...), what its words mean; numbers are integers. `language`: "en" or
    "ko".
    """
    found: dict[str, dict[str, Any]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        spoken, kind, value, words = line.split("\t")
        if spoken == language:
            meaning = int(value) if value.isdecimal() else value
            found.setdefault(kind, {}).update(dict.fromkeys(words.split(), meaning))
    return found
