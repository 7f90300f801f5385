"""Every public value comes back from a pickle as it was, and says in a line what it is."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anymask
from anymask.api import Model
from anymask.backends.disk import DiskBackend
from anymask.errors import BadOption

MAX_REPR = 120


@pytest.fixture(scope="module")
def image(examples: Path) -> anymask.EncodedImage:
    return anymask.load().encode(examples / "cat.jpg")


@pytest.fixture(scope="module")
def values(image: anymask.EncodedImage) -> dict[str, Any]:
    answer = image.segment(points=[(240, 180)])
    return {
        "embedding": image.embedding,
        "candidates": answer,
        "candidate": answer.best,
        "mask": answer.best.mask,
        "prompt": anymask.Prompt.of([(240, 180)], mask=answer),
        "boxes": image.detect_boxes(5),
        "automatic mask": image.everything()[0],
    }


NAMES = ("embedding", "candidates", "candidate", "mask", "prompt", "boxes", "automatic mask")


@pytest.mark.parametrize("name", NAMES)
def test_a_value_equals_its_pickled_copy_and_no_other(values: dict[str, Any], name: str) -> None:
    again = pickle.loads(pickle.dumps(values[name]))
    assert again == values[name] and again is not values[name]
    assert values[name] != "another"


def test_a_pickled_image_answers_alike(image: anymask.EncodedImage) -> None:
    again = pickle.loads(pickle.dumps(image))
    assert again.refines and again.size_hw == image.size_hw
    assert again.segment(points=[(240, 180)]) == image.segment(points=[(240, 180)])


def test_a_pickled_model_opens_its_weights_again() -> None:
    model = anymask.load(threads=1)
    again = pickle.loads(pickle.dumps(model))
    assert (again.name, again.fingerprint, again.threads) == (model.name, model.fingerprint, 1)


def test_a_model_that_was_put_together_by_hand_says_why_it_cannot_be_pickled() -> None:
    with pytest.raises(BadOption, match="cannot be pickled: expected a model that `load` opened"):
        pickle.dumps(Model(DiskBackend()))


def test_values_say_in_a_line_what_they_are(image: anymask.EncodedImage, values: dict[str, Any]) -> None:
    shown = [
        repr(image),
        repr(image.model),
        *(repr(values[n]) for n in ("embedding", "candidates", "candidate")),
    ]
    assert all("\n" not in line and len(line) <= MAX_REPR for line in shown), shown
    assert repr(image) == "EncodedImage(451 x 300, lite, refined)"


def test_an_embedding_travels_as_bytes(image: anymask.EncodedImage) -> None:
    there = anymask.Embedding.from_bytes(image.embedding.to_bytes())
    assert (there.size_hw, there.content_hash) == (image.size_hw, image.content_hash)
    one_pass = image.model.attach(there).segment(points=[(240, 180)]).best
    assert one_pass.mask.iou(image.segment(points=[(240, 180)]).best.mask) > 0.9
    assert np.isfinite(one_pass.low_res_logits).all()
