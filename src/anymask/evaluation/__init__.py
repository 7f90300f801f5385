"""Measuring a model: one protocol, one file. Needs the extra `eval`."""

from __future__ import annotations

from anymask.evaluation.boxes import evaluate_boxes
from anymask.evaluation.calibration import evaluate_calibration
from anymask.evaluation.clicks import evaluate_clicks
from anymask.evaluation.edge_sources import EDGE_FLOORS, HeadEdges, MaskEdges
from anymask.evaluation.edges import evaluate_edges
from anymask.evaluation.floors import FLOORS
from anymask.evaluation.proposals import evaluate_proposals
from anymask.evaluation.reliability import reliability_diagram
from anymask.evaluation.report import describe
from anymask.evaluation.tempering import summarise_with_fit

__all__ = [
    "EDGE_FLOORS",
    "FLOORS",
    "HeadEdges",
    "MaskEdges",
    "describe",
    "evaluate_boxes",
    "evaluate_calibration",
    "evaluate_clicks",
    "evaluate_edges",
    "evaluate_proposals",
    "reliability_diagram",
    "summarise_with_fit",
]
