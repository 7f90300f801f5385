"""The loop of the protocols: score each record of a data set, or each sample of encoded images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np

from anymask.core.progress import Progress
from anymask.data.record import Record
from anymask.data.sources import RecordSource, open_records
from anymask.errors import BadInput
from anymask.evaluation.protocol import EncodedImage, Predictor
from anymask.evaluation.report import csv_table
from anymask.evaluation.samples import DataPath, Photos, Sample, checked_pixels, count_of, samples_of

Score = TypeVar("Score")


class RunOptions(TypedDict, total=False):
    """Options of every protocol. `limit`: score only the first so many images. `csv_path`: of a table with
    one line per score. `progress(done, total)`: called after every image.
    """

    limit: int | None
    csv_path: DataPath | None
    progress: Progress | None


def score_samples(
    data: Photos,
    model: Predictor,
    score: Callable[[Sample, EncodedImage], Iterable[Score]],
    row: Callable[[Score], dict[str, Any]],
    **run: Unpack[RunOptions],
) -> tuple[dict[str, str], list[Score], float]:
    """Data set and model, scores of all samples, seconds per encoding. Raises as `score_records` does."""
    records, seconds = open_records(data), list[float]()

    def scores_of(number: int, record: Record) -> Iterator[Score]:
        if samples := list(samples_of(record, number)):
            pixels = checked_pixels(record)
            started = time.perf_counter()
            image = model.encode(pixels)
            seconds.append(time.perf_counter() - started)
            for sample in samples:
                yield from score(sample, image)

    scores = score_records(records, scores_of, row, **run)
    return {"dataset": records.name, "model": model.name}, scores, float(np.mean(seconds))


def score_records(
    records: RecordSource,
    score: Callable[[int, Record], Iterable[Score]],
    row: Callable[[Score], dict[str, Any]],
    *,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """What `score(number, record)` yields for every record; `row` makes a line of the table of it. Raises
    BadInput for data that cannot be read or hold no mask, StorageError for the CSV.
    """
    count = count_of(records, limit)
    scores = list[Score]()
    with csv_table(csv_path) as write_row:
        for number in range(count):
            for found in score(number, records[number]):
                scores.append(found)
                write_row(row(found))
            if progress is not None:
                progress(number + 1, count)
    if not scores:
        raise BadInput(f"no masks to score in {records.name} ({count} images)")
    return scores
