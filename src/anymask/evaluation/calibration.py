"""Calibration: of the candidates a model calls 70 % probable, are 70 % the one meant?

Every mask is asked for by a click at its centre, a random click, its box, and a jittered box. Each answer
predicts one of N outcomes: the candidate with the largest IoU, or "none of these" where that is below 0.5, as
in training (`training/tasks/losses.py`).

`ece`: the expected calibration error over 15 bins of equally many candidates (Guo et al. 2017), `ece_even`
over 10 bins of equal width, `ece_null` that of a perfectly calibrated model on so few masks. Legend: M
candidates of an answer, N = M + 1 outcomes, C candidates of all answers, A answers, I images, B bins, D
draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from anymask.core.candidates import Candidates
from anymask.evaluation.boxes import JITTER_SEED, jitter
from anymask.evaluation.clicker import next_click, random_click
from anymask.evaluation.clicks import FIRST_CLICK_SEED
from anymask.evaluation.protocol import Predictor
from anymask.evaluation.report import Report
from anymask.evaluation.samples import Photos, Sample
from anymask.evaluation.scoring import RunOptions, score_samples
from anymask.evaluation.statistics import SEED, draws, interval_of, intervals, means

EQUAL_BINS, EVEN_BINS = 15, 10
MIN_IOU = 0.5  # below which no candidate counts as the one meant
MIN_PROBABILITY = 1e-6  # in the log score
NULL_DRAWS = 200  # of outcomes of a perfectly calibrated model

Floats = NDArray[np.float64]
Bins = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One answer, best ranked candidate first. `candidate_iou`: mean between any two, NaN for one alone."""

    sample: Sample
    prompt: str
    probability_N: Floats
    predicted_M: Floats
    iou_M: Floats
    candidate_iou: float

    @property
    def outcome(self) -> int:
        """Index of the candidate that was meant, or of the last outcome, "none of these"."""
        best = int(self.iou_M.argmax())
        return best if self.iou_M[best] >= MIN_IOU else len(self.iou_M)

    @property
    def outcome_N(self) -> Floats:
        """The outcome, one-hot."""
        return np.asarray(np.eye(len(self.probability_N))[self.outcome])


def evaluate_calibration(
    data: Photos,
    model: Predictor,
    *,
    summary: Callable[[Sequence[Prediction]], Report] | None = None,
    **run: Unpack[RunOptions],
) -> Report:
    """Compare the probabilities of `model` with the outcomes on every mask of a data set. `summary` makes the
    report of all answers, `summarise` unless given; `run`: see `RunOptions`. Raises BadInput for data that
    cannot be read or hold no mask, StorageError for the CSV.
    """
    facts, found, _ = score_samples(data, model, predictions, _row, **run)
    return {**facts, **(summary or summarise)(found)}


def predictions(sample: Sample, image: Any) -> Iterator[Prediction]:
    """What `image` answers to each way of asking for the sample."""
    for name, prompt in prompts_of(sample).items():
        answer: Candidates = image.segment(**prompt)
        masks = [candidate.array for candidate in answer]
        probability_N = np.array([*(c.probability for c in answer), answer.none_probability], float)
        predicted_M = np.array([c.iou for c in answer], float)
        iou_M = np.array([sample.iou(mask) for mask in masks])
        yield Prediction(sample, name, probability_N, predicted_M, iou_M, candidate_iou(masks))


def prompts_of(sample: Sample) -> dict[str, dict[str, Any]]:
    """The four ways to ask for a mask, as `segment` takes them."""
    truth_HW = sample.ground_truth_HW
    centre = next_click(truth_HW, np.zeros_like(truth_HW), sample.scored_HW)
    assert centre is not None, "samples are not empty"
    clicks = {"centre": centre, "random": random_click(truth_HW, sample.rng(FIRST_CLICK_SEED))}
    drawn = jitter(sample.box_xyxy, truth_HW.shape, sample.rng(JITTER_SEED))
    asked = {name: {"points": [c.point_xy], "labels": [1]} for name, c in clicks.items()}
    return {**asked, "box": {"box": sample.box_xyxy}, "jittered": {"box": drawn}}


def candidate_iou(masks: Sequence[np.ndarray]) -> float:
    """Mean IoU between any two masks; NaN for fewer than two."""
    pairs = [int((a & b).sum()) / max(1, int((a | b).sum())) for a, b in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else np.nan


def summarise(found: Sequence[Prediction]) -> Report:
    """Everything with 95 % intervals over images. Needs a prediction."""
    p_C, true_C = pooled(found)
    images_C = np.concatenate([np.full(len(f.iou_M), f.sample.image) for f in found])
    images_A = np.array([f.sample.image for f in found])
    equal, even = equal_bins(p_C), even_bins(p_C)
    per_answer = scores(found)
    return {
        "samples": len({(f.sample.image, f.sample.annotation) for f in found}),
        "images": len(np.unique(images_A)),
        "answers": len(found),
        "ece": ece(p_C, true_C, equal),
        "ece_even": ece(p_C, true_C, even),
        "ece_null": ece_null(found, p_C, equal),
        **means(per_answer),
        **ranks(found),
        **iou_agreement(found),
        "by_prompt": by_prompt(found),
        "bins": bins_of(p_C, true_C, even),
        "ci": {"ece": ece_interval(p_C, true_C, equal, images_C), **intervals(per_answer, images_A)},
    }


def pooled(found: Sequence[Prediction]) -> tuple[Floats, Floats]:
    """(C,) twice: probability of each candidate, and 1 where it was meant, else 0."""
    p_C = np.concatenate([f.probability_N[:-1] for f in found])
    return p_C, np.concatenate([f.outcome_N[:-1] for f in found])


def scores(found: Sequence[Prediction]) -> dict[str, Floats]:
    """Of each answer, over all its outcomes: the Brier score (0..2), the log score (minus the logarithm of
    the probability of the outcome) and "none of these", predicted and observed.
    """
    return {
        "brier": np.array([np.square(f.probability_N - f.outcome_N).sum() for f in found]),
        "log_score": np.array([-np.log(max(f.probability_N[f.outcome], MIN_PROBABILITY)) for f in found]),
        "none_predicted": np.array([f.probability_N[-1] for f in found]),
        "none_observed": np.array([f.outcome_N[-1] for f in found]),
    }


def equal_bins(p_C: Floats) -> Bins:
    """Bins of equally many candidates."""
    order = np.argsort(np.argsort(p_C, kind="stable"), kind="stable")
    return np.asarray(order * EQUAL_BINS // len(p_C), np.intp)


def even_bins(p_C: Floats) -> Bins:
    """Bins of equal width."""
    return np.asarray((p_C * EVEN_BINS).clip(0, EVEN_BINS - 1), np.intp)


def ece(p_C: Floats, true_C: Floats, bin_C: Bins) -> float:
    """Expected calibration error: mean over candidates of |mean probability - fraction meant| of the bin."""
    return float(np.abs(np.bincount(bin_C, p_C - true_C)).sum() / len(p_C))


def ece_null(found: Sequence[Prediction], p_C: Floats, bin_C: Bins) -> float:
    """Mean `ece` of a perfectly calibrated model: outcomes drawn from the predictions, each independently."""
    rng = np.random.default_rng(SEED)
    drawn_CD = np.concatenate([outcomes_drawn(f, rng) for f in found])
    error_BD = np.equal.outer(np.arange(bin_C.max() + 1), bin_C) @ (p_C[:, None] - drawn_CD)
    return float(np.abs(error_BD).sum(0).mean() / len(p_C))


def outcomes_drawn(prediction: Prediction, rng: np.random.Generator) -> Floats:
    """(M, NULL_DRAWS): 1 where the candidate is the outcome."""
    limits_N = np.cumsum(prediction.probability_N / prediction.probability_N.sum())
    drawn_D = np.searchsorted(limits_N, rng.random(NULL_DRAWS), side="right")
    return np.equal.outer(np.arange(len(prediction.iou_M)), drawn_D).astype(np.float64)


def ece_interval(p_C: Floats, true_C: Floats, bin_C: Bins, images_C: NDArray[np.intp]) -> list[float]:
    """95 % over images. Bins of a few candidates are off by chance, so it lies rather above the value."""
    _, image_C = np.unique(images_C, return_inverse=True)
    shape = (int(image_C.max()) + 1, int(bin_C.max()) + 1)
    error_IB = np.bincount(image_C * shape[1] + bin_C, p_C - true_C, shape[0] * shape[1]).reshape(shape)
    draws_DI = draws(shape[0])
    return interval_of(np.abs(draws_DI @ error_IB).sum(1) / (draws_DI @ np.bincount(image_C)))


def bins_of(p_C: Floats, true_C: Floats, bin_C: Bins) -> list[dict[str, float]]:
    """Of each bin with candidates: its number, how many, mean probability, fraction of those meant."""
    bins = []
    for b in np.unique(bin_C):
        means = {"predicted": float(p_C[bin_C == b].mean()), "observed": float(true_C[bin_C == b].mean())}
        bins.append({"bin": int(b), "count": int((bin_C == b).sum()), **means})
    return bins


def ranks(found: Sequence[Prediction]) -> Report:
    """Of ambiguous answers, by rank of the candidate: mean probability, how often it has the best IoU."""
    several = [f for f in found if len(f.iou_M) > 1]
    if not several:
        return {"ranks": {"probability": [], "best": [], "best_predicted": []}, "candidate_iou": None}
    count = min(len(f.iou_M) for f in several)

    def best(values: Sequence[Floats]) -> list[float]:
        winners = [int(values_M[:count].argmax()) for values_M in values]
        return [winners.count(rank) / len(several) for rank in range(count)]

    fractions = {
        "probability": np.mean([f.probability_N[:count] for f in several], axis=0).tolist(),
        "best": best([f.iou_M for f in several]),
        "best_predicted": best([f.predicted_M for f in several]),
    }
    return {"ranks": fractions, "candidate_iou": float(np.mean([f.candidate_iou for f in several]))}


def iou_agreement(found: Sequence[Prediction]) -> dict[str, float | None]:
    """Mean error of the predicted IoU and its correlation with the true one, None where one is constant."""
    predicted_C = np.concatenate([f.predicted_M for f in found])
    true_C = np.concatenate([f.iou_M for f in found])
    varied = predicted_C.std() > 0 and true_C.std() > 0
    correlation = float(np.corrcoef(predicted_C, true_C)[0, 1]) if varied else None
    return {"iou_error": float(np.abs(predicted_C - true_C).mean()), "iou_correlation": correlation}


def by_prompt(found: Sequence[Prediction]) -> dict[str, float]:
    """The calibration error of each way of asking."""
    errors = {}
    for name in dict.fromkeys(f.prompt for f in found):
        p_C, true_C = pooled([f for f in found if f.prompt == name])
        errors[name] = ece(p_C, true_C, equal_bins(p_C))
    return errors


def _row(prediction: Prediction) -> dict[str, Any]:
    sample, names = prediction.sample, ("probabilities", "predicted_ious", "ious")
    columns = prediction.probability_N[:-1], prediction.predicted_M, prediction.iou_M
    numbers = {k: " ".join(f"{v:.5f}" for v in values) for k, values in zip(names, columns, strict=True)}
    return {"key": sample.key, "annotation": sample.annotation, "prompt": prediction.prompt, **numbers}
