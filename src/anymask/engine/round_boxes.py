"""What the box head learns in a round: the boxes of the project, and the things it knew on rehearsal photos.

Where not everything is annotated (rehearsal photos, and records with `"partial": true`) cells without a thing
say little.
"""

from __future__ import annotations

from dataclasses import replace

from numpy.random import Generator

from anymask.data.record import PARTIAL, Record
from anymask.engine.round_task import REHEARSAL, REHEARSAL_SCALE
from anymask.training.task import Task, ViewConfig
from anymask.training.tasks.boxes import (
    PARTIAL_WEIGHT,
    BoxView,
    box_loss,
    box_targets,
    draw_box_view,
    has_object,
)


def draw_round_boxes(record: Record, config: ViewConfig, rng: Generator) -> BoxView | None:
    rehearsed = record.source == REHEARSAL
    view = draw_box_view(record, replace(config, scale=REHEARSAL_SCALE) if rehearsed else config, rng)
    if view is None or not (rehearsed or record.fields.get(PARTIAL)):
        return view
    return replace(view, negative_weight=PARTIAL_WEIGHT)


ROUND_BOXES = Task("boxes", has_object, draw_round_boxes, box_targets, box_loss)
"""`training/tasks/boxes.py` on photos of both kinds."""
