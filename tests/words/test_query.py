"""Which word is searched for which noun."""

from __future__ import annotations

import pytest

from anymask.api import Model
from anymask.words.naming import NamingModel
from anymask.words.query import searched_query
from anymask.words.vocabulary import default_vocabulary

HELD_OUT = (
    "airplane", "baseball glove", "bird", "broccoli", "cat", "cow", "elephant", "hair drier", "kite", "mouse",
    "pizza", "scissors", "snowboard", "surfboard", "toilet", "tv",
)  # fmt: skip


@pytest.fixture(scope="module")
def namer(model: Model) -> NamingModel:
    return NamingModel(model.names_path, model.names_table_path)


def searched(noun: str, namer: NamingModel) -> str:
    known = default_vocabulary()
    return searched_query(known.resolve(noun).row, known, namer).word


@pytest.mark.parametrize(
    ("noun", "learned"),
    [("flask", "bottle"), ("double bed", "bed"), ("puppy", "dog"), ("woman", "person"), ("seat", "chair")],
)
def test_a_word_nobody_taught_is_searched_as_what_it_is_a_kind_of(
    noun: str, learned: str, namer: NamingModel
) -> None:
    assert searched(noun, namer) == learned


@pytest.mark.parametrize("noun", ["wolf", "lamb", "goat", "helicopter", "parasol", "gorilla"])
def test_a_near_word_of_another_kind_never_stands_in(noun: str, namer: NamingModel) -> None:
    assert searched(noun, namer) == noun


@pytest.mark.parametrize("noun", ["fruit", "vehicle", "animal", "furniture"])
def test_one_kind_does_not_stand_in_for_all(noun: str, namer: NamingModel) -> None:
    assert searched(noun, namer) == noun


@pytest.mark.parametrize("noun", ["dog", "mug", "canoe", "beagle"])
def test_learned_words_and_imagenet_classes_are_searched_as_themselves(noun: str, namer: NamingModel) -> None:
    assert searched(noun, namer) == noun


def test_names_left_out_of_training_keep_their_own_scorer(namer: NamingModel) -> None:
    """So that measuring held-out names measures the scorer of untaught words."""

    class Forgetful:
        names = tuple(name for name in namer.names if name not in HELD_OUT)
        scorer_of = staticmethod(lambda query: "imagenet" if query.word in HELD_OUT else "trained")

    assert [searched(name, Forgetful()) for name in HELD_OUT] == list(HELD_OUT)  # type: ignore[arg-type]
