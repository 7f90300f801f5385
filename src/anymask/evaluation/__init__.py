"""Measuring a model: one protocol, one file. Needs the extra `eval`."""

from __future__ import annotations

from anymask.evaluation.boxes import evaluate_boxes
from anymask.evaluation.clicks import evaluate_clicks
from anymask.evaluation.floors import FLOORS
from anymask.evaluation.proposals import evaluate_proposals
from anymask.evaluation.report import describe

__all__ = ["FLOORS", "describe", "evaluate_boxes", "evaluate_clicks", "evaluate_proposals"]
