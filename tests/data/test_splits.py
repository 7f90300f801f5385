"""Photos of the validation split stay in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.data.record import Blob
from anymask.data.sources import RecordSource
from anymask.data.splits import in_validation, training_split, validation_split
from anymask.errors import BadOption


def source(keys: list[str]) -> RecordSource:
    return RecordSource("photos", [(key, Blob(Path(key)), {}) for key in keys])


KEYS = [f"photo{number}" for number in range(2000)]


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.floats(0.01, 0.99))
def test_a_photo_is_for_training_or_validation_and_never_both(keys: list[str], fraction: float) -> None:
    aside = {key for key in keys if in_validation(key, fraction)}
    parts = {validation_split: aside, training_split: set(keys) - aside}
    for part, expected in parts.items():
        if expected:
            assert part(source(keys), fraction).keys == [key for key in keys if key in expected]
        else:
            with pytest.raises(BadOption, match="leaves none"):
                part(source(keys), fraction)


def test_about_the_fraction_is_for_validation_in_any_order_and_company() -> None:
    aside = validation_split(source(KEYS), 0.1).keys
    assert 160 < len(aside) < 240
    assert sorted(validation_split(source(KEYS[::-1]), 0.1).keys) == sorted(aside)
    more = validation_split(source([*KEYS, *(f"later{number}" for number in range(500))]), 0.1).keys
    assert set(aside) < set(more)


def test_a_larger_fraction_takes_the_photos_of_a_smaller_one() -> None:
    assert set(validation_split(source(KEYS), 0.02).keys) < set(validation_split(source(KEYS), 0.05).keys)


def test_a_fraction_of_nothing_keeps_all_for_training() -> None:
    assert training_split(source(KEYS), 0.0).keys == KEYS


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(BadOption, match="above 0 and below 1"):
        validation_split(source(KEYS), fraction)
