"""Answers to one click that differ, or there would be nothing to choose among.

A click may mean a part, a thing or a group, and the network answers with three masks. Drawn again from
closer, two or all three of them often come out alike. A copy gives way to something else that was seen at
the first look: the most probable mask cut at a higher logit, where it is surer (often a part of the thing),
or at a lower one (more than it). What gives way leaves its probability to the answer it is alike and to what
takes its place, half and half.
Legend: M candidates, O others, A both, K low-resolution pixels of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anymask.core.candidates import THRESHOLD, Candidate, Candidates

SAME = 0.8  # IoU of two masks in one frame from which on they are one answer, drawn twice
SHIFTS = np.array([-4.0, 4.0], np.float32)  # of the logits: the surer part first
OTHER = 0.1  # the chance of what takes the place of a copy, beside what that leaves it (docs/experiments/)

Draw = Callable[[Candidate], Candidate]


@dataclass(slots=True)
class Group:
    """Answers that came out alike. `first`: as it was drawn first, `number`: of what was drawn then.
    `chance`: that one of them is meant. `shown`: how many of them are.
    """

    number: int
    first: Candidate
    chance: float = 0.0
    shown: int = 1


def others_of(first: Candidates) -> Candidates:
    """What the most probable candidate might also have been: its logits, shifted. Their predicted IoU: that
    of the candidate as far as they overlap it. Probabilities: 0.
    """
    logits_Ohw = first.best.low_res_logits + SHIFTS[:, None, None]
    overlap_O = _overlaps(np.concatenate([first.low_res_logits[:1], logits_Ohw]))[0, 1:]
    iou_O = (first.best.iou * overlap_O).astype(np.float32)
    count = len(SHIFTS)
    return Candidates(logits_Ohw, iou_O, np.zeros(count, np.float32), 0.0, first.transforms[:1] * count)


def differing(first: Candidates, others: Candidates, draw: Draw) -> Candidates:
    """As many answers as the first look has, drawn again: those that differ, then copies if there is room.

    All of `first` and `others` lie in one frame. What is a copy at the first look already is drawn only if
    nothing else is there to fill its place. The first answer and all predicted IoU are those of the first
    look, the others come by their probability.
    """
    wanted, proposed = len(first), [*first, *others]
    own, new, copies = _sorted_out(np.stack([c.low_res_logits for c in proposed]), wanted)
    groups, homes, copied = list[Group](), dict[int, Group](), dict[int, Candidate]()
    for number in [*own, *new, *copies]:
        if len(groups) == wanted or (number in copies and len(groups) + len(copied) >= wanted):
            break
        drawn = draw(proposed[number])
        home = next((group for group in groups if alike([drawn, group.first])[0, 1]), None)
        if home is None:
            home = Group(number, drawn)
            groups.append(home)
        else:
            copied[number] = drawn
        homes[number] = home
    homes |= {number: homes[of] for number, of in copies.items() if number not in homes}
    filling = list(copied)[: wanted - len(groups)]
    none_probability = _share_out(first, groups, homes, filling)
    return _put_together(groups, [(homes[n], copied[n]) for n in filling], none_probability)


def _share_out(
    first: Candidates, groups: Sequence[Group], homes: Mapping[int, Group], filling: Sequence[int]
) -> float:
    """Every candidate's probability to its group; of one that is not shown, half to what took its place,
    which has a chance of its own besides. Returns what is left to none of these.
    """
    others = [group for group in groups if group.number >= len(first)]
    for group in others:
        group.chance = OTHER
    left, heirs = 1 - OTHER * len(others), iter(others)
    shown = {*filling, *(group.number for group in groups)}
    for number, candidate in enumerate(first):
        home = homes[number]
        heir = home if number in shown else next(heirs, home)
        home.chance += left * candidate.probability / 2
        heir.chance += left * candidate.probability / 2
    return left * first.none_probability


def _sorted_out(logits_Ahw: NDArray[np.float32], wanted: int) -> tuple[list[int], list[int], dict[int, int]]:
    """Of the first `wanted`: which differ, and which are copies of which of those; of the others, which are
    something (not empty) that none of the first is.
    """
    alike_AA = _overlaps(logits_Ahw) >= SAME
    own, copies = list[int](), dict[int, int]()
    for m in range(wanted):
        like = [n for n in own if alike_AA[m, n]]
        if like:
            copies[m] = like[0]
        else:
            own.append(m)
    others = [o for o in range(wanted, len(alike_AA)) if (logits_Ahw[o] > THRESHOLD).any()]
    return own, [o for o in others if not alike_AA[o, :wanted].any()], copies


def _put_together(
    groups: Sequence[Group], filling: Sequence[tuple[Group, Candidate]], none_probability: float
) -> Candidates:
    for group, _ in filling:
        group.shown += 1
    shown = [(group, group.first) for group in groups] + list(filling)
    best, *rest = [replace(c, probability=group.chance / group.shown) for group, c in shown]
    return joined([best, *sorted(rest, key=lambda c: -c.probability)], none_probability)


def joined(candidates: Sequence[Candidate], none_probability: float) -> Candidates:
    """In their order."""
    return Candidates(
        np.stack([c.low_res_logits for c in candidates]),
        np.array([c.iou for c in candidates], np.float32),
        np.array([c.probability for c in candidates], np.float32),
        none_probability,
        tuple(c.transform for c in candidates),
    )


def alike(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """(M, M): which are drawn in the same frame, and hardly differ there."""
    framed_MM = np.array([[a.transform == b.transform for b in candidates] for a in candidates])
    return np.asarray(framed_MM) & (_overlaps(np.stack([c.low_res_logits for c in candidates])) >= SAME)


def _overlaps(logits_Mhw: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, M) IoU of the masks; 1 when both are empty."""
    inside_MK = (logits_Mhw.reshape(len(logits_Mhw), -1) > THRESHOLD).astype(np.float32)
    both_MM = (inside_MK @ inside_MK.T).astype(np.float64)  # counts of cells, exact
    cells_M = both_MM.diagonal()
    either_MM = cells_M[:, None] + cells_M - both_MM
    return np.where(either_MM > 0, both_MM / np.maximum(either_MM, 1), 1.0)
