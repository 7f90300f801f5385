"""The text protocol: is what a phrase names found, and is what is not there left alone?

Every name of a photo's `exhaustive_categories` is asked, present or not. Where the data say nothing about
what is absent, only the names that are there are asked, and there is no presence to measure.

- `presence_auroc`: of the presence of all pairs of photo and name; `presence_auroc_per_name`: the mean over
  the names that are there in some photos and absent in others. `recall_at_fpr`: present pairs above the
  threshold that lets 5 % or 1 % of the absent ones through. `false_positive_rate`, `recall`: at the model's
  own threshold.
- `uiou_pairs`: IoU of the union of the found masks with the union of the annotated ones, mean over present
  pairs, taken as the masks come: a pair that the model calls absent counts with what it would have shown.
  `uiou_decided` counts those as 0. `uiou_class`: the mean over names of their pairs.
- `ap50`: mean over names of the average precision of instances at an IoU of 0.5 over all photos, by the
  scores of the masks; `f1_50_present`: F1 of instances at 0.5 over the present pairs. Masks that join several
  things, crowds and ignored pixels are neither right nor wrong.
- `top1_on_thing`: pairs whose best mask lies by more than half on the named things.
- `shuffled_uiou_pairs`: as `uiou_pairs`, but each pair is asked by another name, one that is absent.

Legend: P photos, W names, M found masks, G annotated masks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask, iou_matrix
from anymask.core.progress import Progress
from anymask.data.record import Record
from anymask.data.sources import open_records
from anymask.errors import BadInput
from anymask.evaluation.ground_truth import union
from anymask.evaluation.report import Report, csv_table
from anymask.evaluation.samples import DataPath, Photos, checked_pixels, count_of
from anymask.evaluation.statistics import draws, interval_of

FALSE_POSITIVE_RATES = (0.05, 0.01)
RIGHT_IOU = 0.5
SHUFFLE_SEED = 28

Values = NDArray[np.float64]


class AnsweredMask(Protocol):
    @property
    def mask(self) -> Mask: ...

    @property
    def score(self) -> float: ...


class Answer(Protocol):
    """`present`: the model's own decision. `masks`: best first, also where it says that there is nothing."""

    @property
    def present(self) -> bool: ...

    @property
    def presence(self) -> float: ...

    @property
    def masks(self) -> Sequence[AnsweredMask]: ...


class Asked(Protocol):
    """A photo that answers phrases."""

    def find(self, phrase: str, /) -> Answer: ...


class WordModel(Protocol):
    """What is measured: encodes a photo, which then answers any number of phrases."""

    @property
    def name(self) -> str: ...

    def encode(self, pixels_HW3: np.ndarray, /) -> Asked: ...


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One photo asked by one name. `hits`: of found masks in their order, right or not; None: says nothing.
    `uiou`, `shuffled` and `top1` are None for a name that is absent.
    """

    photo: int
    name: str
    there: bool
    presence: float
    decided: bool
    scores: tuple[float, ...]
    hits: tuple[bool | None, ...]
    targets: int
    uiou: float | None = None
    shuffled: float | None = None
    top1: bool | None = None
    seconds: float = 0.0

    def row(self, key: str) -> dict[str, Any]:
        """A line of the table."""
        return {
            "key": key, "name": self.name, "there": self.there, "presence": round(self.presence, 5),
            "decided": self.decided, "masks": len(self.scores), "targets": self.targets, "uiou": self.uiou,
            "shuffled_uiou": self.shuffled, "top1_on_thing": self.top1, "seconds": round(self.seconds, 4),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class NameTruth:
    """What is annotated of a name: single things, all pixels of it, and where masks say nothing."""

    things: list[Mask] = field(default_factory=list)
    all: Mask | None = None
    neutral: Mask | None = None


def evaluate_text(
    data: Photos,
    model: WordModel,
    *,
    words: Mapping[str, Sequence[str]] | None = None,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Ask every name of every photo and score the answers.

    `words`: to a name of the data the phrases to ask instead; one of them for each pair, in turn. With it
    only its names are asked. Raises BadInput for data without names, StorageError for the CSV.
    """
    source = open_records(data)
    count = count_of(source, limit)
    pairs: list[Pair] = []
    with csv_table(csv_path) as write_row:
        for number in range(count):
            record = source[number]
            found = list(_pairs_of(number, record, model, words))
            for pair in found:
                write_row(pair.row(record.key))
            pairs += found
            if progress is not None:
                progress(number + 1, count)
    if not any(pair.there for pair in pairs):
        raise BadInput(f"no named masks to ask for in {source.name} ({count} images)")
    return {"dataset": source.name, "model": model.name, "photos": count, **summarise_text(pairs)}


def read_words(path: Path) -> dict[str, list[str]]:
    """A JSON file of names with the words to ask instead: {"couch": ["sofa"], ...}. Raises BadInput."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"names: expected a JSON file, {path} is none: {error}") from error
    lists = {n: [w] if isinstance(w, str) else w for n, w in told.items()} if isinstance(told, dict) else {}
    good = all(isinstance(w, list) and w and all(isinstance(x, str) for x in w) for w in lists.values())
    if not lists or not good:
        raise BadInput(f'names: expected {{"name": ["word", ...], ...}} in {path}')
    return lists


def _pairs_of(
    number: int, record: Record, model: WordModel, words: Mapping[str, Sequence[str]] | None
) -> list[Pair]:
    asked = sorted(set(record.fields.get("exhaustive_categories", [])) | names_there(record))
    asked = [name for name in asked if words is None or name in words]
    if not asked:
        return []
    photo = model.encode(checked_pixels(record))
    phrases = {name: _phrase(name, number, words) for name in asked}
    answers: dict[str, Answer] = {}
    seconds: dict[str, float] = {}
    for name in asked:
        started = time.perf_counter()
        answers[name] = photo.find(phrases[name])
        seconds[name] = time.perf_counter() - started
    others = _shuffled(record, asked, number)
    return [
        _pair(number, record, name, answers[name], answers.get(others.get(name, "")), seconds[name])
        for name in asked
    ]


def names_there(record: Record) -> set[str]:
    """The names of its masks."""
    return {one.category for one, _ in record.drawn if one.category}


def _phrase(name: str, number: int, words: Mapping[str, Sequence[str]] | None) -> str:
    return name if words is None else words[name][number % len(words[name])]


def _shuffled(record: Record, asked: Sequence[str], number: int) -> dict[str, str]:
    """To each name that is there one that is absent."""
    there = names_there(record)
    absent = [name for name in asked if name not in there]
    rng = np.random.default_rng([SHUFFLE_SEED, number])
    return {name: absent[int(rng.integers(len(absent)))] for name in sorted(there)} if absent else {}


def truth_of(record: Record, name: str) -> NameTruth:
    """The masks of a name in a photo, without ignored pixels."""
    own = [(one, mask) for one, mask in record.drawn if one.category == name]
    things = [mask for one, mask in own if not one.semantic]
    joined = [mask for one, mask in own if one.semantic]
    crowds = [one.mask for one in record.crowd if one.category in (None, name)]
    neutral = union((record.ignore, *crowds, *(one.ignore for one, _ in own)))
    together = union([*things, *joined])
    if together is not None and neutral is not None:
        together = together - (neutral - union(things) if things else neutral)  # type: ignore[operator]
    return NameTruth(things, together, union((neutral, *joined)))


def _pair(
    number: int, record: Record, name: str, answer: Answer, other: Answer | None, seconds: float
) -> Pair:
    truth = truth_of(record, name)
    masks = [one.mask for one in answer.masks]
    base: dict[str, Any] = {
        "photo": number, "name": name, "there": truth.all is not None, "presence": answer.presence,
        "decided": answer.present, "scores": tuple(one.score for one in answer.masks),
        "hits": tuple(hits_of(masks, truth)), "targets": len(truth.things), "seconds": seconds,
    }  # fmt: skip
    if truth.all is None or truth.all.is_empty:
        return Pair(**{**base, "there": False} if truth.all is None else base)
    ignored = None if record.ignore is None else record.ignore
    return Pair(
        **base,
        uiou=_union_iou(masks, truth.all, ignored),
        shuffled=None if other is None else _union_iou([o.mask for o in other.masks], truth.all, ignored),
        top1=bool(masks) and 2 * (masks[0] & truth.all).area > masks[0].area,
    )


def _union_iou(masks: Sequence[Mask], truth: Mask, ignored: Mask | None) -> float:
    found = union(masks)
    if found is None:
        return 0.0
    return (found if ignored is None else found - ignored).iou(truth)


def hits_of(masks: Sequence[Mask], truth: NameTruth) -> list[bool | None]:
    """Greedy, best mask first: right when it fits a thing that no better one took."""
    ious = iou_matrix(masks, truth.things)
    free = np.ones(len(truth.things), bool)
    hits: list[bool | None] = []
    for row, mask in enumerate(masks):
        open_ious = np.where(free, ious[row], 0.0) if len(free) else np.zeros(1)
        best = int(open_ious.argmax())
        if open_ious[best] >= RIGHT_IOU:
            free[best] = False
            hits.append(True)
        elif truth.neutral is not None and 2 * (mask & truth.neutral).area > mask.area:
            hits.append(None)
        else:
            hits.append(False)
    return hits


def summarise_text(pairs: Sequence[Pair]) -> Report:
    """All numbers, and their 95 % intervals from a bootstrap over photos."""
    photos = sorted({pair.photo for pair in pairs})
    of_photo = {photo: [p for p in pairs if p.photo == photo] for photo in photos}
    values = measures(pairs)
    sampled = [measures([p for i in np.flatnonzero(row) for p in of_photo[photos[i]] for _ in range(row[i])])
               for row in draws(len(photos))[:200]]  # fmt: skip
    ci = {key: _interval([one[key] for one in sampled]) for key in values}
    present = [pair for pair in pairs if pair.there]
    first = [next(p for p in of_photo[photo]).seconds for photo in photos]
    later = [p.seconds for photo in photos for p in of_photo[photo][1:]]
    report = {**_nested(values), "ci": _nested(ci)}
    return {
        "pairs": len(present), "absent_pairs": len(pairs) - len(present), **report,
        "seconds_first": _mean(first), "seconds_later": _mean(later),
    }  # fmt: skip


def _nested(values: Mapping[str, Any]) -> Report:
    """`recall_at_fpr.0.05` as an entry of its own object."""
    flat = {key: value for key, value in values.items() if "@" not in key}
    rates = {key.split("@")[1]: value for key, value in values.items() if "@" in key}
    return {**flat, "recall_at_fpr": rates}


def measures(pairs: Sequence[Pair]) -> dict[str, float | None]:
    """Every number of the protocol over some pairs; None where there is nothing to measure."""
    present, absent = [p for p in pairs if p.there], [p for p in pairs if not p.there]
    scored = [p for p in present if p.uiou is not None]
    right, wrong = _presences(present), _presences(absent)
    rates = {f"recall_at_fpr@{rate}": recall_at(right, wrong, rate) for rate in FALSE_POSITIVE_RATES}
    return {
        "presence_auroc": auroc(right, wrong),
        "presence_auroc_per_name": _mean_of([_auroc_of(pairs, n) for n in sorted({p.name for p in present})]),
        **rates,
        "recall": _mean([p.decided for p in present]),
        "false_positive_rate": _mean([p.decided for p in absent]),
        "uiou_class": _by_class(scored),
        "uiou_pairs": _mean([p.uiou for p in scored]),
        "uiou_decided": _mean([p.uiou if p.decided else 0.0 for p in scored]),
        "ap50": mean_average_precision(pairs),
        "f1_50_present": f1_of(present),
        "top1_on_thing": _mean([p.top1 for p in scored]),
        "shuffled_uiou_pairs": _mean([p.shuffled for p in scored if p.shuffled is not None]),
    }


def _presences(pairs: Sequence[Pair]) -> Values:
    return np.array([pair.presence for pair in pairs], np.float64)


def auroc(right: Values, wrong: Values) -> float | None:
    """The chance that a present pair has more presence than an absent one; ties count half."""
    if not len(right) or not len(wrong):
        return None
    order = np.sort(wrong)
    below = np.searchsorted(order, right, "left")
    equal = np.searchsorted(order, right, "right") - below
    return float((below + equal / 2).mean() / len(wrong))


def recall_at(right: Values, wrong: Values, rate: float) -> float | None:
    """The share of present pairs above the threshold that lets this share of the absent ones through."""
    if not len(right) or not len(wrong):
        return None
    threshold = np.sort(wrong)[::-1][min(len(wrong) - 1, int(rate * len(wrong)))]
    return float((right > threshold).mean())


def _auroc_of(pairs: Sequence[Pair], name: str) -> float | None:
    own = [pair for pair in pairs if pair.name == name]
    return auroc(_presences([p for p in own if p.there]), _presences([p for p in own if not p.there]))


def _by_class(scored: Sequence[Pair]) -> float | None:
    values: dict[str, list[float]] = {}
    for pair in scored:
        values.setdefault(pair.name, []).append(float(pair.uiou or 0.0))
    return _mean([float(np.mean(one)) for one in values.values()])


def mean_average_precision(pairs: Sequence[Pair]) -> float | None:
    """Mean over the names that have things."""
    names = sorted({pair.name for pair in pairs if pair.targets})
    return _mean([_average_precision([p for p in pairs if p.name == name]) for name in names])


def _average_precision(pairs: Sequence[Pair]) -> float:
    """Area below the precision, made monotonous, over recall at 101 points, as COCO counts it."""
    entries = [
        (score, hit)
        for p in pairs for score, hit in zip(p.scores, p.hits, strict=True) if hit is not None
    ]  # fmt: skip
    if not entries:
        return 0.0
    scores, hits = np.array([e[0] for e in entries]), np.array([e[1] for e in entries], bool)
    hits = hits[np.argsort(-scores, kind="stable")]
    recall = hits.cumsum() / sum(p.targets for p in pairs)
    precision = np.maximum.accumulate((hits.cumsum() / np.arange(1, len(hits) + 1))[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), "left")
    return float(np.append(precision, 0.0)[places].mean())


def f1_of(pairs: Sequence[Pair]) -> float | None:
    """Of all instances together."""
    hits = [hit for pair in pairs for hit in pair.hits if hit is not None]
    targets = sum(pair.targets for pair in pairs)
    return 2 * sum(hits) / (len(hits) + targets) if targets else None


def _mean(values: Sequence[Any]) -> float | None:
    return float(np.mean([float(v) for v in values])) if values else None


def _mean_of(values: Sequence[float | None]) -> float | None:
    return _mean([value for value in values if value is not None])


def _interval(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return interval_of(np.array(known)) if known else None
