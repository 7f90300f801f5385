"""What the network learns in a round: the masks of the project and, so that they are not forgotten, everyday
ones.

A few everyday photos come with the package (`rehearsal/`: CC0 and public domain) with the automatic masks of
the shipped model that it was sure of. They are mixed in ("rehearsal", Robins 1995); their views show whole
photos or large parts, as in use, whatever the scale of the project's.
"""

from __future__ import annotations

from dataclasses import replace

from numpy.random import Generator

from anymask.data.record import Record
from anymask.training.data.views import MaskView, draw_view, mask_targets, with_mask
from anymask.training.task import Task, ViewConfig
from anymask.training.tasks.clicks import session_loss

REHEARSAL = "rehearsal"  # source of the records
REHEARSAL_SCALE = (0.75, 2.0)


def draw_round_view(record: Record, config: ViewConfig, rng: Generator) -> MaskView | None:
    config = replace(config, scale=REHEARSAL_SCALE) if record.source == REHEARSAL else config
    return draw_view(record, config, rng)


ROUND_MASKS = Task("masks", with_mask, draw_round_view, mask_targets, session_loss)
"""`training/tasks/clicks.py` on photos of both kinds."""
