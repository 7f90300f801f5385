"""Validation split: which photos are left out of training, by a hash of their keys alone.

So the choice needs no list, is the same in any order and on any machine, and stays as photos are added.
"""

from __future__ import annotations

import hashlib

from anymask.data.sources import RecordSource
from anymask.errors import BadOption


def validation_split(records: RecordSource, fraction: float) -> RecordSource:
    """The photos to measure on, about `fraction` (above 0, below 1) of all. Raises BadOption for none."""
    return _part(records, fraction, True)


def training_split(records: RecordSource, fraction: float) -> RecordSource:
    """The photos to train on: all but the validation split; with a fraction of 0 simply all."""
    return _part(records, fraction, False) if fraction else records


def _part(records: RecordSource, fraction: float, validation: bool) -> RecordSource:
    if not 0 < fraction < 1:
        raise BadOption(f"validation split: expected a fraction above 0 and below 1, got {fraction}")
    chosen = [i for i, key in enumerate(records.keys) if in_validation(key, fraction) == validation]
    if not chosen:
        raise BadOption(f"validation split: {fraction} of {len(records)} photos leaves none; choose another")
    return records.only(chosen)


def in_validation(key: str, fraction: float) -> bool:
    """A larger fraction takes the photos of a smaller one, and more."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64
