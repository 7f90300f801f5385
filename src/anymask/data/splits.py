"""Photos set aside for measuring: which ones, their keys alone decide.

So the choice needs no list, is the same in any order and on any machine, and stays as photos are added.
"""

from __future__ import annotations

import hashlib

from anymask.data.records import RecordSource
from anymask.errors import BadOption

SCALE = 2**64


def held_out(records: RecordSource, share: float) -> RecordSource:
    """The photos to measure on, about `share` (above 0, below 1) of all. Raises BadOption when none are."""
    return _part(records, share, True)


def kept(records: RecordSource, share: float) -> RecordSource:
    """The photos to train on: all that `held_out` does not take; with a share of 0 simply all."""
    return _part(records, share, False) if share else records


def _part(records: RecordSource, share: float, aside: bool) -> RecordSource:
    if not 0 < share < 1:
        raise BadOption(f"held out: expected a share above 0 and below 1, got {share}")
    chosen = [i for i, key in enumerate(records.keys) if is_held_out(key, share) == aside]
    if not chosen:
        raise BadOption(f"held out: a share of {share} of {len(records)} photos leaves none; choose another")
    return records.only(chosen)


def is_held_out(key: str, share: float) -> bool:
    """A larger share takes the photos of a smaller one, and more."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * SCALE
