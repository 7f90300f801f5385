"""Measuring a model: one protocol, one file. Needs the extra `eval`."""

from __future__ import annotations

from anymask.evaluation.baselines import BASELINES
from anymask.evaluation.boxes import evaluate_boxes
from anymask.evaluation.bsds.benchmark import evaluate_edges
from anymask.evaluation.bsds.sources import EDGE_BASELINES, HeadEdges, MaskEdges
from anymask.evaluation.calibration import evaluate_calibration
from anymask.evaluation.clicks import evaluate_clicks
from anymask.evaluation.proposals import evaluate_proposals
from anymask.evaluation.reliability import reliability_diagram
from anymask.evaluation.report import describe
from anymask.evaluation.temperature_scaling import summarise_with_fit
from anymask.evaluation.text import evaluate_text, read_words
from anymask.evaluation.text_pictures import write_text_pictures
from anymask.evaluation.words_under_test import WordsUnderTest

__all__ = [
    "BASELINES", "EDGE_BASELINES", "HeadEdges", "MaskEdges", "WordsUnderTest", "describe", "evaluate_boxes",
    "evaluate_calibration", "evaluate_clicks", "evaluate_edges", "evaluate_proposals", "evaluate_text",
    "read_words", "reliability_diagram", "summarise_with_fit",
    "write_text_pictures",
]  # fmt: skip
