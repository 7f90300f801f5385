"""The loop of the protocols that prompt a model: encode each image, score each of its samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from anymask.core.progress import Progress
from anymask.data.sources import open_records
from anymask.errors import BadInput
from anymask.evaluation.protocol import EncodedImage, Predictor
from anymask.evaluation.report import csv_table
from anymask.evaluation.samples import DataPath, Photos, Sample, checked_pixels, count_of, samples_of

Score = TypeVar("Score")


@dataclass(frozen=True, slots=True)
class Scored(Generic[Score]):
    """The name of a data set, at least one score, and the mean time that encoding took."""

    dataset: str
    scores: list[Score]
    encode_seconds: float


def score_each(
    data: Photos,
    model: Predictor,
    score: Callable[[Sample, EncodedImage], Iterable[Score]],
    row: Callable[[Score], dict[str, Any]],
    *,
    limit: int | None,
    csv_path: DataPath | None,
    progress: Progress | None,
) -> Scored[Score]:
    """What `score` yields for every sample of a data set (`limit`: of its first so many images).

    `progress(done, total)` is called after every image; `csv_path` receives the `row` of each score. Raises
    BadInput for data that cannot be read or hold no mask, StorageError for the CSV.
    """
    records = open_records(data)
    count = count_of(records, limit)
    scores, seconds = list[Score](), list[float]()
    with csv_table(csv_path) as write_row:
        for number in range(count):
            record = records[number]
            if samples := list(samples_of(record, number)):
                pixels = checked_pixels(record)
                started = time.perf_counter()
                image = model.encode(pixels)
                seconds.append(time.perf_counter() - started)
                for found in (found for sample in samples for found in score(sample, image)):
                    scores.append(found)
                    write_row(row(found))
            if progress is not None:
                progress(number + 1, count)
    if not scores:
        raise BadInput(f"no masks to score in {records.name} ({count} images)")
    return Scored(records.name, scores, float(np.mean(seconds)))
