"""Many clients at once, a tenth of whose answers never arrive: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from store_places import Line, ServerProcess

from anymask.store import tasks
from anymask.store.annotations import masks_of, verify
from anymask.store.database import Database
from anymask.store.schema import events
from anymask.store.schema import tasks as task_table

IMAGES = 20


class Client(threading.Thread):
    """Saves to images that all share, optimistically; every tenth answer is dropped and asked for again."""

    def __init__(self, number: int, ports: list[int], actions: int) -> None:
        super().__init__(daemon=True)
        self.user, self.ports, self.actions = f"user{number}", ports, actions
        self.chance = random.Random(number)
        self.saved: list[tuple[int, str]] = []
        self.submitted: list[int] = []
        self.stale = 0
        self.failed: BaseException | None = None
        self.times: list[float] = []
        self.leaving: list[threading.Thread] = []
        self.line = Line(self.chance.choice(ports))

    def run(self) -> None:
        try:
            for number in range(self.actions):
                self._save(number)
                self._task(number)
        except BaseException as error:
            self.failed = error
        finally:
            self.line.drop()
            for one in self.leaving:
                one.join(60)

    def ask(self, **asked: object) -> dict:
        if (
            asked["do"] != "next" and self.chance.random() < 0.1
        ):  # two leases asked for at once: the later counts
            leaving = threading.Thread(target=_send_and_leave, args=(self.line, asked), daemon=True)
            leaving.start()
            self.leaving.append(leaving)
            time.sleep(self.chance.uniform(0, 0.02))
            self.line = Line(self.chance.choice(self.ports))
        began = time.monotonic()
        reply = self.line.ask(**asked)
        self.times.append(time.monotonic() - began)
        return reply

    def _save(self, number: int) -> None:
        image = self.chance.randint(1, IMAGES)
        for attempt in range(1000):
            base = self.ask(do="revision", image=image)["revision"]
            key = f"{self.user}-{number}-{attempt}"
            asked = {"image": image, "base": base, "key": key, "user": self.user, "number": number}
            reply = self.ask(do="save", **asked)
            if "error" not in reply:
                self.saved.append((image, key))
                return
            assert reply["error"] == "StaleWrite", reply
            self.stale += 1
        raise AssertionError("never got through")

    def _task(self, number: int) -> None:
        if number % 10:
            return
        lease = self.ask(do="next", user=self.user)["lease"]
        if lease is not None:
            reply = self.ask(do="submit", lease=lease)
            assert "error" not in reply, reply
            self.submitted.append(lease["task"])


def _send_and_leave(line: Line, asked: dict) -> None:
    with contextlib.suppress(OSError):
        line.ask(**asked)
    line.drop()


CASES = [
    pytest.param("sqlite", 1, 8, 10),
    pytest.param("sqlite", 1, 50, 200, marks=pytest.mark.slow),
    pytest.param("postgres", 4, 8, 10),
    pytest.param("postgres", 4, 50, 200, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "processes", "clients", "actions"), CASES)
def test_no_update_is_lost_when_answers_are_dropped(
    kind: str,
    processes: int,
    clients: int,
    actions: int,
    request: pytest.FixtureRequest,
    with_photos: Callable[..., Database],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixture = "sqlite_url" if kind == "sqlite" else "new_postgres"
    place = request.getfixturevalue(fixture)
    url = place if kind == "sqlite" else place()
    database = with_photos(url, 400)
    tasks.add_tasks(database, range(1, 401), slots=2)
    database.close()
    servers = [ServerProcess(url) for _ in range(processes)]
    began = time.monotonic()
    try:
        people = [Client(i, [one.port for one in servers], actions) for i in range(clients)]
        for person in people:
            person.start()
        for person in people:
            person.join(500)
    finally:
        for one in servers:
            one.kill()
    seconds = time.monotonic() - began
    assert [person.failed for person in people] == [None] * clients
    with capsys.disabled():
        times = sorted(t for person in people for t in person.times)
        print(
            f"\n{kind}: {clients} clients x {actions}, {sum(p.stale for p in people)} stale, "
            f"{seconds:.0f} s, "
            f"{len(times) / seconds:.0f} requests/s, "
            f"p95 {1000 * times[len(times) * 95 // 100]:.0f} ms (closed loop), "
            f"load {os.getloadavg()[0]:.0f}"
        )
    _check(url, people)


def _check(url: str, people: list[Client]) -> None:
    with Database.open(url) as database:
        there = {(i, one.uid) for i in range(1, IMAGES + 1) for one in masks_of(database, i)}
        expected = [(image, key[:40]) for person in people for image, key in person.saved]
        assert there == set(expected)
        assert len(expected) == len(there)
        assert verify(database) == []
        with database.read() as connection:
            applied = connection.execute(
                select(func.count()).select_from(events).where(events.c.sequence > 0)
            ).scalar()
            done = connection.execute(select(task_table).where(task_table.c.state == "done")).all()
        assert applied == len(expected)
        submitted = [number for person in people for number in person.submitted]
        assert len(set(submitted)) == len(submitted)  # each task was accepted from one person
        assert {row.id for row in done} == set(submitted)
        slots = {(row.image_id, row.user) for row in done}
        assert len(slots) == len(done)  # nobody did two slots of an image
