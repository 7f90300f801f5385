"""Many people at once, without browsers: each takes a task, opens the photo, prompts, saves and hands in.

In the middle the server is killed as by a power cut and started again. What was acknowledged has to be there.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anymask.bench.measure import Measure, cpu_ms
from anymask.bench.photos import write_variants
from anymask.bench.server import Answer, Client, StudioServer, running
from anymask.errors import Failure

PAUSE_S = 2.0  # from one action of a person to the next
MASKS = 3  # on a photo
ACTIONS = 2 + 2 * MASKS  # on a photo
AGAIN_S, GIVE_UP_S = 0.25, 120.0  # when the server is away
SLOWER_TRIES = 120  # a second apart
SAVE_MS, OPEN_MS = 80.0, 300.0
PHOTO_SIDE = 640
STEPS = ["look", "best", "alternatives"]  # what the page asks for
Told = dict[str, Any]
Say = Callable[[str], None]


@dataclass
class Record:
    """What happened to all people together. Safe between threads."""

    saves: Measure = field(default_factory=lambda: Measure("save acknowledged", SAVE_MS))
    opens: Measure = field(default_factory=lambda: Measure("task taken, photo there", OPEN_MS))
    looks: Measure = field(default_factory=lambda: Measure("prompt to first candidates"))
    bests: Measure = field(default_factory=lambda: Measure("prompt to refined mask"))
    submits: Measure = field(default_factory=lambda: Measure("photo handed in"))
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    acknowledged: dict[int, list[str]] = field(default_factory=dict)
    handed_in: list[int] = field(default_factory=list)
    gate: threading.Lock = field(default_factory=threading.Lock)

    def time(self, measure: Measure, *times_ms: float) -> None:
        with self.gate:
            measure.add(*times_ms)

    def count(self, what: str) -> None:
        with self.gate:
            self.counts[what] += 1

    def failed(self, what: str, answer: Answer) -> None:
        with self.gate:
            self.errors.append(f"{what}: {answer.status} {answer.content[:200]!r}")


class Person(threading.Thread):
    """Works at a steady pace until `until` (of the monotonic clock)."""

    def __init__(self, server: StudioServer, token: str, number: int, until: float, record: Record) -> None:
        super().__init__(name=f"person-{number}", daemon=True)
        self._client = Client(server, token)
        self._until, self._record = until, record
        self._next = time.monotonic() + number * PAUSE_S / 20  # not all at the same moment
        self._seq = itertools.count(1)
        self._tab = f"person-{number}"

    def run(self) -> None:
        while self._waits() and (work := self._open()):
            for number in range(MASKS):
                offered = self._waits() and self._prompt(work, number)
                if offered and self._waits():
                    self._save(work, offered)
            if self._waits():
                self._submit(work)
        self._client.close()

    def _waits(self) -> bool:
        """For the next turn; False when it is time to go home."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = max(self._next + PAUSE_S, time.monotonic())
        return time.monotonic() < self._until

    def _ask(
        self, what: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[Answer, bool]:
        """As the page does it: again until there is an answer. And whether the first attempt had one."""
        self._record.count("requests")
        until, first = time.monotonic() + GIVE_UP_S, True
        while True:
            try:
                answer = self._client.ask(method, path, body, **headers)
            except (OSError, http.client.HTTPException):
                self._record.count("sent again" if first else "tries without an answer")
                first = False
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_S)
                continue
            if answer.status >= 300:
                self._record.failed(what, answer)
            return answer, first

    def _open(self) -> Told | None:
        answer, first = self._ask("task", "POST", "/tasks/next", {"kinds": ["annotate"]})
        work: Told | None = answer.json().get("work")
        if work is None:
            self._record.count("no task left")
            return None
        image = work["image"]
        shown, second = self._ask("photo", "GET", f"/images/{image['id']}/photo?v={image['hash']}")
        if first and second:
            self._record.time(self._record.opens, answer.ms + shown.ms)
        return work

    def _prompt(self, work: Told, number: int) -> list[Told]:
        """Candidates of the last step."""
        image = work["image"]
        at = [image["width"] * (0.3 + 0.2 * number), image["height"] * (0.35 + 0.15 * number)]
        prompt = {"points": [at], "labels": [1]}
        body = {"client": self._tab, "seq": next(self._seq), "prompt": prompt, "steps": STEPS}
        answer, first = self._ask("prompt", "POST", f"/images/{image['id']}/prompt", body)
        lines = [] if answer.status >= 300 else _lines(answer)
        if not lines or "candidates" not in lines[-1]:
            self._record.count("prompts without candidates")
            return []
        if first:
            self._record.time(self._record.looks, answer.lines_ms[0])
            self._record.time(self._record.bests, answer.lines_ms[min(1, len(answer.lines_ms) - 1)])
        found: list[Told] = lines[-1]["candidates"]
        return found

    def _save(self, work: Told, offered: list[Told]) -> None:
        image, lease = work["image"]["id"], work["lease"]
        uid = uuid.uuid4().hex
        best = offered[0]
        mask = {
            "uid": uid,
            "rle": best["rle"],
            "probability": best["probability"],
            "taken": best["id"],
            "seconds": 2.0,
        }
        body = {
            "lease": {name: lease[name] for name in ("task", "token")},
            "operations": [{"op": "add", "mask": mask}],
        }
        headers = {"Idempotency_Key": uuid.uuid4().hex, "If_Match": f'"{work["revision"]}"'}
        answer, first = self._ask("save", "POST", f"/images/{image}/actions", body, **headers)
        if answer.status >= 300:
            return
        work["revision"] = answer.json()["revision"]
        with self._record.gate:
            self._record.acknowledged.setdefault(image, []).append(uid)
        if first:
            self._record.time(self._record.saves, answer.ms)

    def _submit(self, work: Told) -> None:
        lease = work["lease"]
        body = {"token": lease["token"], "seconds": 20.0}
        answer, first = self._ask("submit", "POST", f"/tasks/{lease['task']}/submit", body)
        if answer.status < 300:
            with self._record.gate:
                self._record.handed_in.append(work["image"]["id"])
            if first:
                self._record.time(self._record.submits, answer.ms)


def _lines(answer: Answer) -> list[Told]:
    return [json.loads(line) for line in answer.content.splitlines()]


def measure_people(sources: list[Path], folder: Path, people: int, minutes: float, say: Say) -> Told:
    """`people` for `minutes`, the server killed in the middle; 1 action of each every two seconds."""
    photos = folder / "people"
    count = int(people * (minutes * 60 / PAUSE_S / ACTIONS + 2))
    say(f"{people} people, {minutes:g} minutes, {count} photos")
    write_variants(sources, photos, count, PHOTO_SIDE)
    tokens = _accounts(photos, people)
    record = Record()
    with running(photos, "--team") as server:
        away_s, spent_ms = _work(server, tokens, 60 * minutes, record, say)
        lost = _lost(server, tokens[0], record)
    return {
        "people": {
            **_told(record, people, minutes),
            **lost,
            "away_s": away_s,
            "server_cpu_s": spent_ms / 1_000,
        }
    }


def _accounts(photos: Path, people: int) -> list[str]:
    """Tokens of an admin, then of annotators: as many as there are people."""
    from anymask.engine.project import Project
    from anymask.store import sessions, users
    from anymask.web.launch import open_project

    with open_project(photos, lambda _: None) as project:
        assert isinstance(project, Project)
        tokens = []
        for number in range(people):
            role = "annotator" if number else "admin"
            users.add_user(project.database, f"person-{number}", role)
            tokens.append(sessions.begin(project.database, f"person-{number}", "token"))
        return tokens


def _work(
    server: StudioServer, tokens: list[str], seconds: float, record: Record, say: Say
) -> tuple[float, float]:
    """Seconds without a server, and its processor time."""
    begun = time.monotonic()
    crew = [Person(server, token, n, begun + seconds, record) for n, token in enumerate(tokens)]
    for person in crew:
        person.start()
    time.sleep(seconds / 2)
    spent = cpu_ms([server.pid])
    say("kill -9, and the server started again")
    killed = time.monotonic()
    server.kill()
    server.start()
    away_s = time.monotonic() - killed
    for person in crew:
        person.join(seconds + 2 * GIVE_UP_S)
    return round(away_s, 2), spent + cpu_ms([server.pid])


def _lost(server: StudioServer, token: str, record: Record) -> Told:
    """Masks and finished photos that were acknowledged and are not there."""
    with contextlib.closing(Client(server, token)) as client:
        masks = 0
        for image, uids in record.acknowledged.items():
            told = _patiently(client, f"/images/{image}/masks")["masks"]
            masks += len(set(uids) - {one["uid"] for one in told})
        states = [_patiently(client, f"/images/{image}")["state"] for image in record.handed_in]
    return {"lost_masks": masks, "lost_photos": len(states) - states.count("annotated")}


def _patiently(client: Client, path: str) -> Any:
    """Asked again while the server wants it slower. Raises Failure."""
    for _ in range(SLOWER_TRIES):
        answer = client.ask("GET", path, Accept="application/json")
        if answer.status == 200:
            return answer.json()
        time.sleep(1.0)
    raise Failure(f"{path}: {answer.status} {answer.content[:200]!r}")


def _told(record: Record, people: int, minutes: float) -> Told:
    named = {"save": record.saves, "open": record.opens, "look": record.looks, "best": record.bests}
    return {
        "people": people,
        "minutes": minutes,
        **{name: one.told() for name, one in {**named, "submit": record.submits}.items()},
        "acknowledged_masks": sum(map(len, record.acknowledged.values())),
        "photos_handed_in": len(record.handed_in),
        "errors": len(record.errors),
        "first_errors": record.errors[:10],
        **{what.replace(" ", "_"): number for what, number in sorted(record.counts.items())},
    }
