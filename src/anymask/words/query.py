"""From a noun to what is searched: its vector, names that do not compete with it, what stands in for it."""

from __future__ import annotations

from anymask.words.naming import IMAGENET, NamingModel, Query
from anymask.words.vocabulary import Vocabulary

# Cosines of word vectors, chosen by reading the vocabulary.
KIND_OF = 0.55  # a flask is a bottle: true by the vocabulary; below come loose ones ("dog food" is food)
NEARLY_ALL = 0.8  # a seat is mostly a chair, but fruit (.75) is more than strawberries


def query_of(noun: str, vocabulary: Vocabulary) -> Query:
    """The query for a noun of the vocabulary. Raises BadPrompt for a word it does not know."""
    return query_of_row(vocabulary.resolve(noun).row, vocabulary)


def query_of_row(row: int, vocabulary: Vocabulary) -> Query:
    """The query for a word of the vocabulary by its row."""
    related = frozenset(vocabulary.names[other] for other in vocabulary.related(row))
    return Query(vocabulary.names[row], vocabulary.vectors_WD[row], related)


def searched_query(row: int, vocabulary: Vocabulary, namer: NamingModel) -> Query:
    """As `query_of_row`, but of the learned word that stands in for one that no scorer knows.

    That is the nearest that it is a kind of, or that is nearly all of its kinds. Never a sibling: a wolf is
    no dog. ImageNet classes are searched as themselves. Whoever asks tells it when `word` is another one.
    """
    query = query_of_row(row, vocabulary)
    if namer.scorer_of(query) != IMAGENET or row in vocabulary.imagenet_rows:
        return query
    instead = _stand_in(row, vocabulary, frozenset(namer.names))
    return query if instead is None else query_of_row(instead, vocabulary)


def _stand_in(row: int, vocabulary: Vocabulary, learned: frozenset[str]) -> int | None:
    """The row of the nearest learned word above or below, if it is near enough."""
    vectors_WD, near = vocabulary.vectors_WD, dict[int, float]()
    for rows, least in ((vocabulary.ancestors(row), KIND_OF), (vocabulary.descendants(row), NEARLY_ALL)):
        cosines = {r: float(vectors_WD[r] @ vectors_WD[row]) for r in rows if vocabulary.names[r] in learned}
        near |= {r: cosine for r, cosine in cosines.items() if cosine >= least}
    return max(near, key=lambda r: near[r], default=None)
