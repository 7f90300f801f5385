"""Phrases in English and Korean: the noun, what pixels can decide, and what is told as not understood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anymask.errors import BadPrompt
from anymask.words import Phrase, understand
from anymask.words.parts import Order


def parts(phrase: Phrase) -> dict[str, Any]:
    """What the phrase says besides its noun, without what it does not say."""
    names = ("colours", "size", "places", "order", "number", "negated", "not_understood")
    said = {name: getattr(phrase, name) for name in names}
    return {name: value for name, value in said.items() if value not in ((), None, False)}


ENGLISH: list[tuple[str, str, dict[str, Any]]] = [
    ("dog", "dog", {}),
    ("the dogs", "dog", {}),
    ("red car", "car", {"colours": ("red",)}),
    ("car, red", "car", {"colours": ("red",)}),
    ("a dark-coloured dog", "dog", {"not_understood": ("dark-coloured",)}),
    ("black and white dog", "dog", {"colours": ("black", "white")}),
    ("red-coloured gray cars", "car", {"colours": ("red", "grey")}),
    ("two red dogs on the left", "dog", {"colours": ("red",), "number": 2, "places": ("left",)}),
    ("3 dogs", "dog", {"number": 3}),
    ("a pair of dogs", "dog", {"number": 2}),
    ("slice of pizza", "pizza", {}),
    ("largest car", "car", {"order": Order(1, "large")}),
    ("the second largest dog", "dog", {"order": Order(2, "large")}),
    ("three smallest birds", "bird", {"order": Order(1, "small"), "number": 3}),
    ("big cat", "cat", {"size": "large"}),
    ("the second person from the left", "person", {"order": Order(2, "left")}),
    ("second from left car", "car", {"order": Order(2, "left")}),
    ("rightmost tree", "tree", {"order": Order(1, "right")}),
    ("cup in the top right corner of the photo", "cup", {"places": ("top", "right")}),
    ("top left window", "window", {"places": ("top", "left")}),
    ("bird in the middle", "bird", {"places": ("middle",)}),
    ("left hand", "hand", {"places": ("left",)}),
    ("no cars", "car", {"negated": True}),
    ("not the dog", "dog", {"negated": True}),
    ("man in a red shirt", "man", {"not_understood": ("in a red shirt",)}),
    (
        "woman wearing a hat on the right",
        "woman",
        {"places": ("right",), "not_understood": ("wearing a hat",)},
    ),
    ("glass of water", "glass", {"not_understood": ("of water",)}),
    ("sleeping dog", "dog", {"not_understood": ("sleeping",)}),
    ("dining table chair", "chair", {"not_understood": ("dining", "table")}),
    ("orange", "orange", {}),
    ("an orange", "orange", {}),
    ("orange car", "car", {"colours": ("orange",)}),
    ("white wine glass", "wine glass", {"colours": ("white",)}),
    ("red top", "top", {"colours": ("red",)}),
    ("hot dog", "hot dog", {}),
    ("black bear", "American black bear", {}),
    ("red, white and blue flag", "flag", {"colours": ("red", "white", "blue")}),
    ("cars but not trucks", "car", {"not_understood": ("but not trucks",)}),
    ("dog on the left of the cat", "dog", {"not_understood": ("on the left of the cat",)}),
    ("12th window from the left", "window", {"order": Order(12, "left")}),
    ("traffic light", "traffic light", {}),
]
KOREAN: list[tuple[str, str, dict[str, Any]]] = [
    ("개", "dog", {}),
    ("강아지들이", "puppy", {}),
    ("빨간 차 두 대", "car", {"colours": ("red",), "number": 2}),
    ("두 대의 차", "car", {"number": 2}),
    ("강아지 두마리", "puppy", {"number": 2}),
    ("사람 2명", "person", {"number": 2}),
    ("개 세 마리", "dog", {"number": 3}),
    ("왼쪽 사람", "person", {"places": ("left",)}),
    ("오른쪽에 있는 나무", "tree", {"places": ("right",)}),
    ("왼쪽 위 창문", "window", {"places": ("left", "top")}),
    ("왼쪽에서 두 번째 사람", "person", {"order": Order(2, "left")}),
    ("맨 왼쪽 사람", "person", {"order": Order(1, "left")}),
    ("가장 큰 개", "dog", {"order": Order(1, "large")}),
    ("두 번째로 큰 차", "car", {"order": Order(2, "large")}),
    ("제일 작은 빨간 풍선", "balloon", {"colours": ("red",), "order": Order(1, "small")}),
    ("큰 나무들", "tree", {"size": "large"}),
    ("흰 고양이와", "cat", {"colours": ("white",)}),
    ("개 말고", "dog", {"negated": True}),
    ("예쁜 빨간 차", "car", {"colours": ("red",), "not_understood": ("예쁜",)}),
    ("빨간 모자를 쓴 사람", "person", {"not_understood": ("빨간 모자를 쓴",)}),
    ("왼쪽에 있는 두 사람", "person", {"number": 2, "places": ("left",)}),
    ("눈이 큰 사람", "person", {"not_understood": ("눈이 큰",)}),
    ("탁자 위의 컵", "cup", {"not_understood": ("탁자 위의",)}),
    ("소화 전", "fire hydrant", {}),
    ("컴퓨터마우스", "mouse", {}),
    ("ｔｖ", "tv", {}),
]


@pytest.mark.parametrize(("text", "noun", "said"), ENGLISH + KOREAN)
def test_a_phrase_is_read(text: str, noun: str, said: dict[str, Any]) -> None:
    phrase = understand(text)
    assert phrase.noun.name == noun
    assert parts(phrase) == said


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("배", "boat"), ("배 두 척", "boat"), ("배 두 개", "pear"), ("노란 배", "pear"), ("먹는 배", "pear"),
        ("눈", "snow"), ("고양이 눈", "eye"), ("파란 눈", "eye"), ("말 두 마리", "horse"), ("차", "car"),
        ("차 한 잔", "tea"), ("다리", "bridge"), ("의자 다리", "leg"), ("밤", "chestnut"), ("병", "bottle"),
        ("가지", "eggplant"), ("나무 가지", "branch"),
    ],
)  # fmt: skip
def test_a_korean_word_of_several_meanings_is_what_photos_show_or_the_words_beside_it_say(
    text: str, noun: str
) -> None:
    assert understand(text).noun.name == noun


def test_other_meanings_of_a_korean_word_are_told() -> None:
    assert understand("배").noun.note == '"배" is read as boat; it also means pear, belly'
    assert understand("노란 배").noun.note == '"배" is read as pear; it also means boat, belly'


def test_what_was_understood_is_told_in_words() -> None:
    assert understand("two red sofas on the left").understood == (
        "couch", "colour: red", "place: left", "number: 2"
    )  # fmt: skip
    assert "order: number 2 from the left" in understand("second dog from the left").understood
    assert "order: number 1 to 3 by size, small first" in understand("three smallest dogs").understood
    assert understand("no sofa").understood[:2] == ("not couch", '"sofa" is read as couch')


@pytest.mark.parametrize(
    "text", ["red", "the left", "two", "on the left", "the largest", "빨간", "왼쪽", "no"]
)
def test_a_phrase_without_a_noun_is_refused(text: str) -> None:
    with pytest.raises(BadPrompt, match="no noun in"):
        understand(text)


@pytest.mark.parametrize("text", ["red blorf", "the two blorfs on the left", "mona lisa", "빨간 뷁뷁"])
def test_a_phrase_with_an_unknown_noun_is_refused(text: str) -> None:
    with pytest.raises(BadPrompt, match="unknown word"):
        understand(text)


class Shouting:
    """An encoder for which every text is the first axis."""

    name, fingerprint = "shouting", "0"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.eye(1, 128, dtype=np.float32).repeat(len(texts), 0)


def test_an_encoder_takes_nouns_outside_the_vocabulary() -> None:
    phrase = understand("two red blorfs", encoder=Shouting())
    assert phrase.noun.how == "encoded" and phrase.noun.name == "blorfs"
    assert phrase.vector_D is not None and phrase.vector_D[0] == 1
    assert (phrase.colours, phrase.number) == (("red",), 2)
    assert "not in the vocabulary" in phrase.noun.note
    assert understand("dog", encoder=Shouting()).vector_D is None
