"""kill -9 of the process that saves, under 8 clients: what was acknowledged is there, once."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest
from store_places import Line, ServerProcess

from anymask.store import annotations
from anymask.store.annotations import verify
from anymask.store.database import Database

CLIENTS = 8
KILLS = int(os.environ.get("ANYMASK_KILLS", "100"))


class Person(threading.Thread):
    """Saves to an image of its own; a save without an answer is sent again with its key."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self.image = number + 1
        self.port = 0
        self.running = True
        self.acknowledged: list[str] = []
        self.wrong: list[dict] = []

    def run(self) -> None:
        line, port, revision = None, 0, 0
        while self.running:
            key = f"{self.image}-{revision}"
            asked = {"image": self.image, "base": revision, "key": key, "user": "ann", "number": revision}
            try:
                if line is None or port != self.port:
                    if line is not None:
                        line.drop()
                    port = self.port
                    line = Line(port)
                reply = line.ask(do="save", **asked)
            except OSError:
                if line is not None:
                    line.drop()
                line = None
                time.sleep(0.01)
                continue
            if reply.get("revision") != revision + 1:
                self.wrong.append(reply)
                return
            self.acknowledged.append(key)
            revision += 1
        if line is not None:
            line.drop()


@pytest.mark.parametrize("kills", [3, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_no_acknowledged_save_is_lost_or_doubled_when_the_server_is_killed(
    kills: int, sqlite_url: str, with_photos: Callable[..., Database], capsys: pytest.CaptureFixture[str]
) -> None:
    with_photos(sqlite_url, CLIENTS).close()
    chance = random.Random(kills)
    people = [Person(i) for i in range(CLIENTS)]
    starts = []
    server = ServerProcess(sqlite_url)
    try:
        for person in people:
            person.port = server.port
            person.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.3))
            server.kill()
            server = ServerProcess(sqlite_url)
            starts.append(server.seconds_to_start)
            for person in people:
                person.port = server.port
        time.sleep(0.2)
        for person in people:
            person.running = False
        for person in people:
            person.join(30)
    finally:
        server.kill()
    assert [person.wrong for person in people] == [[]] * CLIENTS
    acknowledged = sum(len(person.acknowledged) for person in people)
    starts.sort()
    with capsys.disabled():
        print(
            f"\n{kills} kills, {acknowledged} acknowledged saves, back in {starts[len(starts) // 2]:.2f} s "
            f"(median), {starts[-1]:.2f} s (longest), load {os.getloadavg()[0]:.0f}"
        )
    with Database.open(sqlite_url) as database:
        for person in people:
            uids = [one.uid for one in annotations.masks_of(database, person.image)]
            assert len(set(uids)) == len(uids)
            assert uids[: len(person.acknowledged)] == person.acknowledged
            assert len(uids) - len(person.acknowledged) in (0, 1)  # one was on its way
        assert verify(database) == []
    assert starts[len(starts) // 2] <= 2.0 or os.getloadavg()[0] > 4


def test_the_database_file_is_whole_after_a_kill(
    sqlite_url: str, with_photos: Callable[..., Database]
) -> None:
    with_photos(sqlite_url, 1).close()
    server = ServerProcess(sqlite_url)
    line = Line(server.port)
    line.ask(do="save", image=1, base=0, key="a", user="ann", number=1)
    server.kill()
    line.drop()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert json.dumps(connection.execute("PRAGMA integrity_check").fetchall()) == '[["ok"]]'
    connection.close()
