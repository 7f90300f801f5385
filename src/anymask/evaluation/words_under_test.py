"""A model with a naming model beside it, as the text protocol asks it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anymask.api import Model
from anymask.predict.encoding import Encoding
from anymask.words.naming import NamingModel
from anymask.words.phrase import understand
from anymask.words.query import searched_query
from anymask.words.search import Found, WordSearch
from anymask.words.vocabulary import Vocabulary, default_vocabulary


@dataclass(frozen=True, eq=False)
class WordsUnderTest:
    """Encodes in one pass. Raises BadOption for a model without names."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    @cached_property
    def namer(self) -> NamingModel:
        return NamingModel(self.model.names_path, self.model.names_table_path, self.model.threads)

    def encode(self, pixels_HW3: np.ndarray, /) -> AskedPhoto:
        encoding = Encoding.of_pixels(self.model, pixels_HW3)
        return AskedPhoto(encoding, pixels_HW3, self.namer, default_vocabulary())


@dataclass(frozen=True, eq=False)
class AskedPhoto:
    """The first phrase also pays for the look at the photo."""

    encoding: Encoding
    pixels_HW3: np.ndarray
    namer: NamingModel
    vocabulary: Vocabulary

    @cached_property
    def search(self) -> WordSearch:
        return WordSearch(self.encoding, self.namer, self.namer.look(self.pixels_HW3))

    def find(self, phrase: str, /) -> Found:
        """The noun of the phrase. Raises BadPrompt for a word that nobody knows."""
        noun = understand(phrase, self.vocabulary).noun
        return self.search.find(searched_query(noun.row, self.vocabulary, self.namer))
