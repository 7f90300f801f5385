"""Whoever changes the database by hand is found out: verify names the image and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from store_facts import mask, save
from store_server import square

from anymask.errors import Failure
from anymask.store.annotations import verify
from anymask.store.database import Database

OTHER = square(77, (64, 64)).rle["counts"]
CHANGES = {
    "another mask": f"UPDATE masks SET counts = '{OTHER}' WHERE uid = 'b'",
    "no mask at all": "UPDATE masks SET counts = '????' WHERE uid = 'b'",
    "another box": "UPDATE masks SET x = x + 1 WHERE uid = 'b'",
    "another area": "UPDATE masks SET area = 5 WHERE uid = 'b'",
    "another author": "UPDATE masks SET author = 'eve' WHERE uid = 'b'",
    "another class": "UPDATE masks SET category = 'cat' WHERE uid = 'b'",
    "other seconds": "UPDATE masks SET seconds = 1 WHERE uid = 'b'",
    "a mask deleted": "DELETE FROM masks WHERE uid = 'b'",
    "a removed mask alive again": "UPDATE masks SET removed = NULL WHERE uid = 'a'",
    "a mask removed": "UPDATE masks SET removed = 2 WHERE uid = 'b'",
    "removed by another event": "UPDATE masks SET removed = 3 WHERE uid = 'a'",
    "a mask of no event": (
        "INSERT INTO masks (image_id, layer, uid, counts, x, y, w, h, area, author, stage, round, "
        "added, removed) "
        "SELECT image_id, layer, 'z', counts, x, y, w, h, area, author, stage, round, added, 2 FROM masks "
        "WHERE uid = 'b'"
    ),
    "the first event deleted": "DELETE FROM events WHERE sequence = 1",
    "the last event deleted": "DELETE FROM events WHERE sequence = 3",
    "an event of someone else": "UPDATE events SET author = 'eve' WHERE sequence = 2",
    "an event's body": "UPDATE events SET body = '{}' WHERE sequence = 2",
    "a branch": """UPDATE events SET body = '{"base": 0, "now": 1, "request": {}}' WHERE sequence = -1""",
    "the count": "UPDATE layers SET masks = 9",
    "the revision": "UPDATE layers SET revision = 2",
    "the digest": "UPDATE layers SET digest = 'f'",
    "the head": "DELETE FROM layers",
}


@pytest.fixture
def project(sqlite_url: str, with_photos: Callable[..., Database]) -> Database:
    database = with_photos(sqlite_url)
    save(database, "a")
    save(database, "b", base=1, adds=(mask("b", 1),), removes=("a",))
    save(database, "c", base=2, adds=(mask("c", 2),))
    with pytest.raises(Failure):
        save(database, "late", base=1)
    return database


def test_a_project_that_was_left_alone_is_clean(project: Database) -> None:
    assert verify(project) == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_verify_names_what_was_changed(project: Database, change: str) -> None:
    changed = project.write(lambda connection: connection.execute(text(change.replace(":", "\\:"))).rowcount)
    assert changed > 0
    problems = verify(project)
    assert problems and all("image 1" in one for one in problems)
