"""The calibration protocol: does what a model calls 70 % come true seven times in ten?

Every mask is asked for four times: by a click at its centre, by a random click, by its box, and by a box as
a person would draw it. Each answer is a forecast, a probability for every candidate and for "none of these",
and exactly one of them comes true: the candidate with the largest IoU, or none where that is below 0.5. That
is what the probabilities are trained for (`training/losses.py`).

`ece`: the expected calibration error over 15 bins of equally many candidates (Guo et al. 2017), `ece_even`
over 10 bins of equal width, `ece_by_chance` what a perfect model would get on so few masks; `brier` and
`log_score` are means over answers of what all outcomes add up to.
`ranks` says of the first, second and third candidate of ambiguous prompts how probable they are and how
often each is the best one, in truth and by predicted IoU; `alike` is the mean IoU between any two of them.
`iou_error` and `iou_correlation` compare predicted with true IoU.
Legend: M candidates, N outcomes (the candidates, then "none of these"), F forecasts (a candidate each),
A answers, I images, B bins, D draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.progress import Progress
from anymask.evaluation.boxes import JITTER_SEED, jitter
from anymask.evaluation.clicker import next_click, random_click
from anymask.evaluation.clicks import FIRST_CLICK_SEED
from anymask.evaluation.report import Report, csv_table
from anymask.evaluation.samples import DataPath, Photos, Sample, ScoredImages
from anymask.evaluation.statistics import SEED, draws, intervals, means
from anymask.evaluation.subject import Subject, encode_each

EQUAL_BINS, EVEN_BINS = 15, 10
MEANT = 0.5  # IoU below which no candidate counts as the one meant
LEAST = 1e-6  # of a probability, in the log score
CHANCES = 200  # draws of what a perfect model would have come true

Floats = NDArray[np.float64]


class ForecastMask(Protocol):
    @property
    def array(self) -> np.ndarray: ...
    @property
    def iou(self) -> float: ...
    @property
    def probability(self) -> float: ...


class Forecasts(Protocol):
    """An answer with probabilities, as `anymask.load()` gives it; best first."""

    @property
    def none_probability(self) -> float: ...

    def __iter__(self) -> Iterator[ForecastMask]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """One answer. `chance_N`: probabilities of its candidates, best ranked first, and of "none of these".
    `predicted_M`, `iou_M`: predicted and true IoU of the candidates. `alike`: mean IoU between any two of
    them, NaN for one alone.
    """

    sample: Sample
    prompt: str
    chance_N: Floats
    predicted_M: Floats
    iou_M: Floats
    alike: float

    @property
    def came_true(self) -> int:
        """Which of the outcomes: the candidate that was meant, or the last, "none of these"."""
        best = int(self.iou_M.argmax())
        return best if self.iou_M[best] >= MEANT else len(self.iou_M)

    @property
    def outcome_N(self) -> Floats:
        """1 for what came true, 0 for the rest."""
        return np.asarray(np.eye(len(self.chance_N))[self.came_true])


def evaluate_calibration(
    data: Photos,
    model: Subject,
    *,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
    summary: Callable[[Sequence[Forecast]], Report] | None = None,
) -> Report:
    """Compare the probabilities of `model` with what comes true, on every mask of a data set (`limit`: of its
    first so many images).

    `progress(done, total)` is called after every image; `csv_path` receives one line per answer; `summary`
    makes the report of all answers, `summarise` unless given. Raises BadInput for data that cannot be read
    or holds no mask, StorageError for the CSV.
    """
    images = ScoredImages(data, limit)
    found: list[Forecast] = []
    with csv_table(csv_path) as write_row:
        for encoded in encode_each(images, model, progress):
            for sample in encoded.samples:
                asked = list(forecasts(sample, encoded.image))
                found += asked
                for forecast in asked:
                    write_row(_row(forecast))
    return {"dataset": images.name, "model": model.name, **(summary or summarise)(found)}


def forecasts(sample: Sample, image: Any) -> Iterator[Forecast]:
    """What `image` answers to each way of asking for the sample."""
    for name, prompt in prompts_of(sample).items():
        answer: Forecasts = image.segment(**prompt)
        candidates = list(answer)
        masks = [c.array for c in candidates]
        yield Forecast(
            sample,
            name,
            np.array([*(c.probability for c in candidates), answer.none_probability], float),
            np.array([c.iou for c in candidates], float),
            np.array([sample.iou(mask) for mask in masks]),
            alike(masks),
        )


def prompts_of(sample: Sample) -> dict[str, dict[str, Any]]:
    """The four ways to ask for a mask, as `segment` takes them."""
    centre = next_click(sample.truth_HW, np.zeros_like(sample.truth_HW), sample.scored_HW)
    assert centre is not None, "samples are not empty"
    somewhere = random_click(sample.truth_HW, sample.rng(FIRST_CLICK_SEED))
    drawn = jitter(sample.box_xyxy, sample.truth_HW.shape, sample.rng(JITTER_SEED))
    clicks = {"centre": centre, "random": somewhere}
    asked = {name: {"points": [c.point_xy], "labels": [1]} for name, c in clicks.items()}
    return {**asked, "box": {"box": sample.box_xyxy}, "jittered": {"box": drawn}}


def alike(masks: Sequence[np.ndarray]) -> float:
    """Mean IoU between any two masks; NaN for fewer than two."""
    pairs = [int((a & b).sum()) / max(1, int((a | b).sum())) for a, b in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def summarise(found: Sequence[Forecast]) -> Report:
    """Everything with 95 % intervals over images. Needs a forecast."""
    p_F, true_F = pooled(found)
    images_F = np.concatenate([np.full(len(f.iou_M), f.sample.image) for f in found])
    images_A = np.array([f.sample.image for f in found])
    equal, even = equal_bins(p_F), even_bins(p_F)
    per_answer = scores(found)
    return {
        "samples": len({(f.sample.image, f.sample.annotation) for f in found}),
        "images": len(np.unique(images_A)),
        "answers": len(found),
        "ece": ece(p_F, true_F, equal),
        "ece_even": ece(p_F, true_F, even),
        "ece_by_chance": ece_by_chance(found, p_F, equal),
        **means(per_answer),
        **ranks(found),
        **iou_agreement(found),
        "by_prompt": by_prompt(found),
        "bins": bins_of(p_F, true_F, even),
        "ci": {**ece_interval(p_F, true_F, equal, images_F), **intervals(per_answer, images_A)},
    }


def pooled(found: Sequence[Forecast]) -> tuple[Floats, Floats]:
    """Of all candidates of all answers: the probability, and 1 where the candidate was meant, else 0."""
    return np.concatenate([f.chance_N[:-1] for f in found]), np.concatenate([f.outcome_N[:-1] for f in found])


def scores(found: Sequence[Forecast]) -> dict[str, Floats]:
    """Of each answer, over all its outcomes: the Brier score (0..2), the log score (minus the logarithm of
    the probability of what came true) and "none of these", forecast and observed.
    """
    return {
        "brier": np.array([np.square(f.chance_N - f.outcome_N).sum() for f in found]),
        "log_score": np.array([-np.log(max(f.chance_N[f.came_true], LEAST)) for f in found]),
        "none_forecast": np.array([f.chance_N[-1] for f in found]),
        "none_observed": np.array([f.outcome_N[-1] for f in found]),
    }


def equal_bins(p_F: Floats) -> NDArray[np.intp]:
    """Bins of equally many forecasts."""
    order = np.argsort(np.argsort(p_F, kind="stable"), kind="stable")
    return np.asarray(order * EQUAL_BINS // len(p_F), np.intp)


def even_bins(p_F: Floats) -> NDArray[np.intp]:
    """Bins of equal width."""
    return np.asarray((p_F * EVEN_BINS).clip(0, EVEN_BINS - 1), np.intp)


def ece(p_F: Floats, true_F: Floats, bin_F: NDArray[np.intp]) -> float:
    """What is forecast less what comes true, in each bin; the mean size of it over forecasts."""
    return float(np.abs(np.bincount(bin_F, p_F - true_F)).sum() / len(p_F))


def ece_by_chance(found: Sequence[Forecast], p_F: Floats, bin_F: NDArray[np.intp]) -> float:
    """The mean `ece` of a perfect model that forecasts the same: outcomes drawn from the forecasts, every
    answer for itself. Answers about one mask are alike in truth, so that chance does rather more than this.
    """
    rng = np.random.default_rng(SEED)
    drawn_FD = np.concatenate([outcomes_drawn(f, rng) for f in found])
    off_BD = np.equal.outer(np.arange(bin_F.max() + 1), bin_F) @ (p_F[:, None] - drawn_FD)
    return float(np.abs(off_BD).sum(0).mean() / len(p_F))


def outcomes_drawn(forecast: Forecast, rng: np.random.Generator) -> Floats:
    """(M, CHANCES): 1 where the candidate comes true."""
    limits_N = np.cumsum(forecast.chance_N / forecast.chance_N.sum())
    drawn_D = np.searchsorted(limits_N, rng.random(CHANCES), side="right")
    return np.equal.outer(np.arange(len(forecast.iou_M)), drawn_D).astype(np.float64)


def ece_interval(
    p_F: Floats, true_F: Floats, bin_F: NDArray[np.intp], images_F: NDArray[np.intp]
) -> dict[str, list[float]]:
    """95 % over images. Bins of a few forecasts are off by chance, so that it lies rather above the value."""
    _, image_F = np.unique(images_F, return_inverse=True)
    shape = (int(image_F.max()) + 1, int(bin_F.max()) + 1)
    off_IB = np.bincount(image_F * shape[1] + bin_F, p_F - true_F, shape[0] * shape[1]).reshape(shape)
    draws_DI = draws(shape[0])
    errors_D = np.abs(draws_DI @ off_IB).sum(1) / (draws_DI @ np.bincount(image_F))
    return {"ece": [float(edge) for edge in np.percentile(errors_D, (2.5, 97.5))]}


def bins_of(p_F: Floats, true_F: Floats, bin_F: NDArray[np.intp]) -> list[dict[str, float]]:
    """For the picture: of each bin that is not empty which it is, how many forecasts it has, what they say
    and what came true.
    """
    return [
        {
            "bin": int(b),
            "count": int((bin_F == b).sum()),
            "forecast": float(p_F[bin_F == b].mean()),
            "observed": float(true_F[bin_F == b].mean()),
        }
        for b in np.unique(bin_F)
    ]


def ranks(found: Sequence[Forecast]) -> Report:
    """Of ambiguous answers, for the candidate of each rank: its mean probability, how often it is the best
    one in truth and how often by predicted IoU; and how alike the candidates are.
    """
    several = [f for f in found if len(f.iou_M) > 1]
    if not several:
        return {"ranks": {"probability": [], "best": [], "best_predicted": []}, "alike": None}
    count = min(len(f.iou_M) for f in several)

    def best(values: Sequence[Floats]) -> list[float]:
        winners = [int(values_M[:count].argmax()) for values_M in values]
        return [winners.count(rank) / len(several) for rank in range(count)]

    shares = {
        "probability": np.mean([f.chance_N[:count] for f in several], axis=0).tolist(),
        "best": best([f.iou_M for f in several]),
        "best_predicted": best([f.predicted_M for f in several]),
    }
    return {"ranks": shares, "alike": float(np.mean([f.alike for f in several]))}


def iou_agreement(found: Sequence[Forecast]) -> dict[str, float | None]:
    predicted_F = np.concatenate([f.predicted_M for f in found])
    true_F = np.concatenate([f.iou_M for f in found])
    varied = predicted_F.std() > 0 and true_F.std() > 0
    correlation = float(np.corrcoef(predicted_F, true_F)[0, 1]) if varied else None
    return {"iou_error": float(np.abs(predicted_F - true_F).mean()), "iou_correlation": correlation}


def by_prompt(found: Sequence[Forecast]) -> dict[str, float]:
    """The calibration error of each way of asking."""
    errors = {}
    for name in dict.fromkeys(f.prompt for f in found):
        p_F, true_F = pooled([f for f in found if f.prompt == name])
        errors[name] = ece(p_F, true_F, equal_bins(p_F))
    return errors


def _row(forecast: Forecast) -> dict[str, Any]:
    sample = forecast.sample

    def joined(values_M: Floats) -> str:
        return " ".join(f"{v:.5f}" for v in values_M)

    return {
        "key": sample.key,
        "annotation": sample.annotation,
        "prompt": forecast.prompt,
        "probabilities": joined(forecast.chance_N[:-1]),
        "predicted_ious": joined(forecast.predicted_M),
        "ious": joined(forecast.iou_M),
    }
