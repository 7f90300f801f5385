"""The recipe of a project's rounds: how a model is trained, measured and promoted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from anymask.api import load
from anymask.core.progress import Progress
from anymask.data.sources import RecordSource
from anymask.engine import round_evaluation, round_settings
from anymask.engine.promotion import decide
from anymask.engine.round_answers import answers_of
from anymask.engine.round_evaluation import RoundProtocol
from anymask.engine.round_training import train_round
from anymask.engine.rounds import Evaluator, Recipe, Trained


def default_recipe(
    *, quick: bool = False, minutes: float | None = None, progress: Progress | None = None
) -> Recipe:
    """`quick`: rounds of about a minute. `minutes`: of training in a round; by default what was found best.
    `progress`: of the steps of the training.

    Raises BadOption.
    """
    settings = round_settings.QUICK if quick else round_settings.DEFAULT
    if minutes is not None:
        settings = settings.within(minutes)
    protocol = round_evaluation.QUICK if quick else round_evaluation.FULL
    measured: dict[tuple[str, tuple[str, ...], RoundProtocol], dict[str, Any]] = {}

    def train(records: RecordSource, base: str, out: Path, *, seed: int) -> Trained:
        made = train_round(records, base, out, replace(settings, seed=seed), progress=progress)
        return Trained(made.card, made.forgotten)

    def evaluator(protocol: RoundProtocol) -> Evaluator:
        def evaluate(model: str, records: RecordSource) -> dict[str, Any]:
            key = (model, tuple(records.keys), protocol)
            if key not in measured:
                opened = load(model)
                scores = round_evaluation.evaluate_round(opened, records, protocol)
                pictures = answers_of(opened, records, protocol)
                measured[key] = {"metrics": scores.report(), "scores": scores.to_dict(), "pictures": pictures}
            return measured[key]

        return evaluate

    overall, clicks = (
        replace(protocol, automatic=8 if quick else protocol.photos),
        replace(protocol, masks=8, automatic=0),
    )
    return Recipe(train, evaluator(protocol), decide, evaluator(overall), evaluator(clicks))
