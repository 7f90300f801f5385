"""How alike two people annotate one photo, and what they see differently."""

from __future__ import annotations

import pytest

pytest.importorskip("sqlalchemy")
import numpy as np

from anymask.core.mask import Mask
from anymask.engine.agreement import SAME_IOU, Twice, by_people, compare, mean_agreement
from anymask.errors import BadInput
from anymask.store.values import StoredMask

SIZE_HW = (60, 100)


def box(uid: str, x0: int, y0: int, x1: int, y1: int, category: str | None = None) -> StoredMask:
    inside = np.zeros(SIZE_HW, bool)
    inside[y0:y1, x0:x1] = True
    return StoredMask(uid, Mask.from_array(inside), category)


def test_the_same_masks_agree_whole_in_any_order() -> None:
    ours = [box("1", 0, 0, 10, 10, "cat"), box("2", 30, 30, 50, 50, "dog")]
    theirs = [box("b", 30, 30, 50, 50, "dog"), box("a", 0, 0, 10, 10, "cat")]
    seen = compare(ours, theirs)
    assert seen.agreement == 1.0 and seen.disagreements == 0
    assert {(pair.a.uid, pair.b.uid) for pair in seen.pairs} == {("1", "a"), ("2", "b")}


def test_a_mask_that_one_has_alone_counts_nothing() -> None:
    ours = [box("1", 0, 0, 10, 10), box("2", 30, 30, 50, 50), box("3", 70, 0, 75, 5)]
    seen = compare(ours, [box("a", 0, 0, 10, 10)])
    assert seen.agreement == pytest.approx(2 * 1 / 4)
    assert [one.uid for one in seen.only_a] == ["2", "3"], "the largest first"
    assert seen.counts == {"only_a": 2, "only_b": 0, "borders": 0, "class": 0}
    assert compare([], [box("a", 0, 0, 10, 10)]).agreement == 0.0


def test_the_best_pair_is_taken_first() -> None:
    """Each mask once, though both of ours overlap theirs."""
    ours = [box("1", 0, 0, 10, 10), box("2", 2, 0, 10, 10)]
    seen = compare(ours, [box("a", 2, 0, 10, 10)])
    assert [(pair.a.uid, pair.b.uid, pair.iou) for pair in seen.pairs] == [("2", "a", 1.0)]
    assert [one.uid for one in seen.only_a] == ["1"]


def test_borders_and_classes_that_differ_are_told_apart() -> None:
    ours = [box("1", 0, 0, 10, 10, "cat"), box("2", 30, 30, 40, 40, "cat"), box("3", 60, 0, 80, 20, "dog")]
    theirs = [box("a", 0, 0, 5, 10, "cat"), box("b", 30, 30, 40, 40, "dog"), box("c", 60, 0, 70, 20)]
    seen = compare(ours, theirs)
    differs = {pair.a.uid: pair.differs for pair in seen.pairs}
    assert differs == {"1": ("borders",), "2": ("class",), "3": ("borders", "class")}
    assert seen.disagreements == 3
    assert seen.counts == {"only_a": 0, "only_b": 0, "borders": 2, "class": 2}
    assert seen.agreement == pytest.approx((0.5 + 1 + 0.5) / 3), "a class takes nothing from the overlap"


@pytest.mark.parametrize(("width", "differs"), [(8, ()), (7, ("borders",))])
def test_borders_differ_below_a_fixed_overlap(width: int, differs: tuple[str, ...]) -> None:
    assert SAME_IOU == 0.8
    (pair,) = compare([box("1", 0, 0, 10, 10)], [box("a", 0, 0, width, 10)]).pairs
    assert pair.differs == differs


def test_two_things_that_touch_are_not_one_drawn_twice() -> None:
    seen = compare([box("1", 0, 0, 20, 20)], [box("a", 19, 0, 39, 20)])
    assert seen.pairs == () and seen.disagreements == 2 and seen.agreement == 0.0


def test_nothing_on_both_sides_is_no_agreement() -> None:
    assert compare([], []).agreement is None


def test_more_masks_than_a_block_of_the_matrix_find_their_partners() -> None:
    ours = [box(f"{n}", n % 100, n // 100, n % 100 + 1, n // 100 + 1) for n in range(600)]
    theirs = [box(f"{n}", n % 100, n // 100, n % 100 + 1, n // 100 + 1) for n in reversed(range(600))]
    seen = compare(ours, theirs)
    assert seen.agreement == 1.0 and all(pair.a.uid == pair.b.uid for pair in seen.pairs)


def test_masks_of_two_sizes_are_refused() -> None:
    other = StoredMask("a", Mask.from_array(np.ones((5, 5), bool)))
    with pytest.raises(BadInput):
        compare([box("1", 0, 0, 10, 10)], [other])


def test_people_are_listed_once_whoever_had_the_first_layer() -> None:
    counts = {"only_a": 0, "only_b": 0, "borders": 0, "class": 0}
    found = [
        Twice(1, (0, 1), ("ada", "bob"), 0.9, 0, counts),
        Twice(2, (0, 1), ("bob", "ada"), 0.5, 3, counts),
        Twice(3, (0, 1), ("cleo", "ada"), 0.8, 1, counts),
    ]
    told = by_people(found)
    assert [(one.people, one.photos, round(one.agreement, 2)) for one in told] == [
        (("ada", "bob"), 2, 0.7),
        (("ada", "cleo"), 1, 0.8),
    ]
    assert mean_agreement(found) == pytest.approx(2.2 / 3) and mean_agreement([]) is None
