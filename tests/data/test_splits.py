"""Photos set aside stay aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.data.records import Blob, RecordSource
from anymask.data.splits import held_out, is_held_out, kept
from anymask.errors import BadOption


def source(keys: list[str]) -> RecordSource:
    return RecordSource("photos", [(key, Blob(Path(key)), {}) for key in keys])


KEYS = [f"photo{number}" for number in range(2000)]


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.floats(0.01, 0.99))
def test_a_photo_is_kept_or_held_out_and_never_both(keys: list[str], share: float) -> None:
    aside = {key for key in keys if is_held_out(key, share)}
    parts = {held_out: aside, kept: set(keys) - aside}
    for part, expected in parts.items():
        if expected:
            assert part(source(keys), share).keys == [key for key in keys if key in expected]
        else:
            with pytest.raises(BadOption, match="leaves none"):
                part(source(keys), share)


def test_about_the_share_is_held_out_in_any_order_and_company() -> None:
    aside = held_out(source(KEYS), 0.1).keys
    assert 160 < len(aside) < 240
    assert sorted(held_out(source(KEYS[::-1]), 0.1).keys) == sorted(aside)
    more = held_out(source([*KEYS, *(f"later{number}" for number in range(500))]), 0.1).keys
    assert set(aside) < set(more)


def test_a_larger_share_holds_out_what_a_smaller_one_does() -> None:
    assert set(held_out(source(KEYS), 0.02).keys) < set(held_out(source(KEYS), 0.05).keys)


def test_a_share_of_nothing_keeps_all() -> None:
    assert kept(source(KEYS), 0.0).keys == KEYS


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(BadOption, match="above 0 and below 1"):
        held_out(source(KEYS), share)
