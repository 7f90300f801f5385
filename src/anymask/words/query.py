"""From a noun to what is searched: its vector, and the names that do not compete with it."""

from __future__ import annotations

from anymask.words.naming import Query
from anymask.words.vocabulary import Vocabulary


def query_of(noun: str, vocabulary: Vocabulary) -> Query:
    """The query for a noun of the vocabulary. Raises BadPrompt for a word it does not know."""
    return query_of_row(vocabulary.resolve(noun).row, vocabulary)


def query_of_row(row: int, vocabulary: Vocabulary) -> Query:
    """The query for a word of the vocabulary by its row."""
    related = frozenset(vocabulary.names[other] for other in vocabulary.related(row))
    return Query(vocabulary.names[row], vocabulary.vectors_WD[row], related)
