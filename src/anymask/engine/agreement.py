"""Agreement: how alike several people annotate one photo, each without seeing what the others do.

Masks of two people are matched greedily, the best IoU first. The agreement of two layers is 2 x the IoU of
the pairs over the number of masks of both: a mask that only one of them has counts 0. What each submitted
by themselves is compared: who corrects it afterwards has seen more than they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from anymask.core.mask import iou_matrix
from anymask.engine.project import Project
from anymask.store import tasks
from anymask.store.annotations import digests_of, masks_of, revisions_of
from anymask.store.database import Database
from anymask.store.tasks import HandedIn, Overlap
from anymask.store.values import StoredMask

COMPARED = 100  # photos, the last ones: a page waits for it
LEAST_IOU = 0.1  # of a pair: masks that overlap less are two things that touch, not one drawn twice
SAME_IOU = 0.8  # of a pair whose borders do not differ
KINDS = ("only_a", "only_b", "borders", "class")  # of disagreements
ROWS = 256  # of the matrix of IoU at a time
MOST_KNOWN = 10_000
Result = tuple[float | None, int, dict[str, int]]  # agreement, disagreements, those by kind
# By the digests of both layers, which say all that is in them: reading masks takes 0.3 ms each.
_KNOWN: dict[tuple[str, str], Result] = {}


@dataclass(frozen=True, slots=True)
class Pair:
    """What two people drew of one thing."""

    a: StoredMask
    b: StoredMask
    iou: float

    @property
    def differs(self) -> tuple[str, ...]:
        """In its borders, its class, both or nothing."""
        borders = ("borders",) if self.iou < SAME_IOU else ()
        return borders + (("class",) if self.a.category != self.b.category else ())


@dataclass(frozen=True)
class Comparison:
    """Masks of two layers: matched, and those that one of them alone has, the largest first."""

    pairs: tuple[Pair, ...]
    only_a: tuple[StoredMask, ...]
    only_b: tuple[StoredMask, ...]

    @property
    def agreement(self) -> float | None:
        """0..1; None where nobody drew anything."""
        masks = 2 * len(self.pairs) + len(self.only_a) + len(self.only_b)
        return 2 * sum(pair.iou for pair in self.pairs) / masks if masks else None

    @property
    def counts(self) -> dict[str, int]:
        """Disagreements by kind; a pair may be two."""
        found = [kind for pair in self.pairs for kind in pair.differs]
        return {
            "only_a": len(self.only_a),
            "only_b": len(self.only_b),
            **{kind: found.count(kind) for kind in ("borders", "class")},
        }

    @property
    def disagreements(self) -> int:
        """Things that the two see differently."""
        return len(self.only_a) + len(self.only_b) + sum(bool(pair.differs) for pair in self.pairs)


@dataclass(frozen=True, slots=True)
class Twice:
    """One photo as two people annotated it. `layers`, `people`: a, b; `corrected`: since then."""

    image_id: int
    layers: tuple[int, int]
    people: tuple[str, str]
    agreement: float
    disagreements: int
    counts: dict[str, int]
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Two:
    """Two people: on how many photos, and how well they agree there."""

    people: tuple[str, str]
    photos: int
    agreement: float


def compare(masks_a: Sequence[StoredMask], masks_b: Sequence[StoredMask]) -> Comparison:
    """Raises BadInput for masks of two sizes."""
    pairs: list[Pair] = []
    free_a, free_b = set(range(len(masks_a))), set(range(len(masks_b)))
    for iou, i, j in _overlaps(masks_a, masks_b):
        if i in free_a and j in free_b:
            free_a.remove(i)
            free_b.remove(j)
            pairs.append(Pair(masks_a[i], masks_b[j], iou))
    return Comparison(tuple(pairs), _by_size(masks_a, free_a), _by_size(masks_b, free_b))


def _overlaps(masks_a: Sequence[StoredMask], masks_b: Sequence[StoredMask]) -> list[tuple[float, int, int]]:
    """IoU and numbers of what may be one thing, the best first. Never the whole matrix of thousands."""
    found: list[tuple[float, int, int]] = []
    theirs = [one.mask for one in masks_b]
    for first in range(0, len(masks_a), ROWS):
        ious = iou_matrix([one.mask for one in masks_a[first : first + ROWS]], theirs)
        for i, j in zip(*np.nonzero(ious >= LEAST_IOU), strict=True):
            found.append((float(ious[i, j]), first + int(i), int(j)))
    return sorted(found, key=lambda one: (-one[0], one[1], one[2]))


def _by_size(masks: Sequence[StoredMask], numbers: Iterable[int]) -> tuple[StoredMask, ...]:
    return tuple(sorted((masks[number] for number in sorted(numbers)), key=lambda one: -one.mask.area))


def compare_submitted(database: Database, image_id: int, a: HandedIn, b: HandedIn) -> Comparison:
    """What two people submitted of an image. Raises BadInput for an unknown image."""
    ours, theirs = (masks_of(database, image_id, one.layer, one.revision) for one in (a, b))
    return compare(ours, theirs)


def agreements(project: Project, *, limit: int = COMPARED) -> list[Twice]:
    """Of the last photos that several people have finished, each two of them: the least agreement first,
    those that were corrected since last.
    """
    database = project.database
    overlaps = tasks.overlapping(database, limit=limit)
    places = [(one.image_id, who.layer, who.revision) for one in overlaps for who in one.people]
    digests, now = digests_of(database, places), revisions_of(database, [one.image_id for one in overlaps])
    found = [one for overlap in overlaps for one in _each_two(database, overlap, digests, now)]
    return sorted(
        found, key=lambda one: (one.corrected, one.agreement, -one.disagreements, one.image_id, one.layers)
    )


def _each_two(
    database: Database,
    overlap: Overlap,
    digests: Mapping[tuple[int, int, int], str],
    now: Mapping[tuple[int, int], int],
) -> Iterator[Twice]:
    image_id = overlap.image_id
    for two in combinations(overlap.people, 2):
        a, b = two
        key_a, key_b = (digests.get((image_id, one.layer, one.revision), "") for one in two)
        known = _KNOWN.get((key_a, key_b)) or _keep(
            (key_a, key_b), compare_submitted(database, image_id, a, b)
        )
        agreement, disagreements, counts = known
        corrected = any(now.get((image_id, one.layer), 0) > one.revision for one in two)
        if agreement is not None:
            layers, people = (a.layer, b.layer), (a.user, b.user)
            yield Twice(image_id, layers, people, agreement, disagreements, counts, corrected)


def _keep(key: tuple[str, str], seen: Comparison) -> Result:
    if len(_KNOWN) >= MOST_KNOWN:
        _KNOWN.clear()
    result = _KNOWN[key] = (seen.agreement, seen.disagreements, seen.counts)
    return result


def mean_agreement(found: Sequence[Twice]) -> float | None:
    """Over photos and pairs of people; None without any."""
    return sum(one.agreement for one in found) / len(found) if found else None


def by_people(found: Sequence[Twice]) -> list[Two]:
    """Who agrees with whom, those that agree least first."""
    groups: dict[tuple[str, str], list[Twice]] = {}
    for one in found:
        first, second = sorted(one.people)
        groups.setdefault((first, second), []).append(one)
    told = [
        Two(people, len({one.image_id for one in own}), mean_agreement(own) or 0.0)
        for people, own in groups.items()
    ]
    return sorted(told, key=lambda one: (one.agreement, one.people))
