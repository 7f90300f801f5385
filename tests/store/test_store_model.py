"""The store against a model of it in plain Python: whatever people do in whatever order, both agree."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select
from store_facts import mask, photos

from anymask.store import annotations, images, tasks
from anymask.store.database import Clock, Database
from anymask.store.values import Action, LostLease, Saved, StaleWrite

IMAGES, LEASE_S = 3, 100.0
USERS = st.sampled_from(["ann", "bob", "eve"])
NUMBERS = st.integers(1, IMAGES)


class Model:
    """What the store ought to hold."""

    def __init__(self) -> None:
        self.alive: dict[tuple[int, int], list[str]] = {}
        self.revision: dict[tuple[int, int], int] = {}
        self.branches: dict[int, int] = {}
        self.authors: set[tuple[int, int, str]] = set()  # image, layer: also of what became a branch
        self.tasks: dict[tuple[int, str, int], dict] = {}

    def save(self, action: Action, *, late: bool = False) -> int | None:
        """The new revision, or None when it was stale."""
        place = (action.image_id, action.layer)
        self.authors.add((*place, action.author))
        if late or action.base != self.revision.get(place, 0):
            self.branches[action.image_id] = self.branches.get(action.image_id, 0) + 1
            return None
        alive = [uid for uid in self.alive.get(place, []) if uid not in action.removes]
        self.alive[place] = alive + [one.uid for one in action.adds]
        self.revision[place] = action.base + 1
        return action.base + 1


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.now = 1000.0
        url = f"sqlite:///{Path(self.folder.name) / 'project.db'}"
        self.database = Database.open(url, clock=Clock(lambda: self.now))
        images.add_images(self.database, photos(IMAGES))
        tasks.add_tasks(self.database, range(1, IMAGES + 1), slots=2)
        tasks.add_tasks(self.database, range(1, IMAGES + 1), kind="review", priority=1.0)
        self.model = Model()
        self.count = 0
        self.sent: list[tuple[Action, int | None]] = []
        self.leases: list[tuple[tasks.Lease, str]] = []
        with self.database.read() as connection:
            rows = connection.execute(select(tasks.tasks)).all()
        self.model.tasks = {
            row.id: {
                "id": row.id, "image": row.image_id, "kind": row.kind, "slot": row.slot, "state": "open",
                "user": None, "wanted": None, "token": 0, "until": None, "priority": row.priority,
            }
            for row in rows
        }  # fmt: skip

    def action(self, image: int, user: str, back: int, remove: int, layer: int = 0, adds: int = 1) -> Action:
        self.count += 1
        place = (image, layer)
        base = max(self.model.revision.get(place, 0) - back, 0)
        alive = self.model.alive.get(place, [])
        removes = tuple(alive[:remove]) if base == self.model.revision.get(place, 0) else ()
        parent = removes[0] if removes else None
        new = tuple(mask(f"m{self.count}-{i}", self.count + i, parent=parent) for i in range(adds))
        return Action(image, base, f"k{self.count}", user, new, removes, layer)

    @rule(image=NUMBERS, user=USERS, back=st.integers(0, 1), remove=st.integers(0, 2), adds=st.integers(0, 2))
    def save(self, image: int, user: str, back: int, remove: int, adds: int) -> None:
        action = self.action(image, user, back, remove, adds=adds)
        expected = self.model.save(action)
        self.sent.append((action, expected))
        self.check(action, expected, repeated=False)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.check(*data.draw(st.sampled_from(self.sent[-5:])), repeated=True)

    def check(self, action: Action, expected: int | None, *, repeated: bool) -> None:
        try:
            saved = annotations.save(self.database, action)
        except StaleWrite:
            assert expected is None
        else:
            assert (saved.revision, saved.repeated) == (expected, repeated)

    @rule(seconds=st.sampled_from([-500.0, 1.0, LEASE_S / 2, LEASE_S + 1]))
    def wait(self, seconds: float) -> None:
        """Backwards too: the store's clock stands still then."""
        self.time = max(getattr(self, "time", 1000.0), self.now)
        self.now += seconds
        self.time = max(self.time, self.now)
        self.database.clock()  # it knows only of times that it is asked at

    @property
    def clock(self) -> float:
        self.time = max(getattr(self, "time", 1000.0), self.now)
        return self.time

    def allowed(self, task: dict, user: str) -> bool:
        if task["wanted"] is not None:
            return task["wanted"] == user
        if task["slot"] > 0 and (task["image"], 1 - task["slot"], user) in self.model.authors:
            return False  # they began the first one, and somebody else has it now
        return not any(
            other["user"] == user
            and other["image"] == task["image"]
            and other["id"] != task["id"]
            and other["state"] in ("leased", "done")
            and (
                task["kind"] == "review"
                or other["kind"] == task["kind"]
                or (task["slot"] > 0 and other["kind"] == "review")  # they have seen the first one's masks
            )
            for other in self.model.tasks.values()
        )

    @rule(user=USERS)
    def take(self, user: str) -> None:
        every = self.model.tasks.values()
        held = [t for t in every if t["state"] == "leased" and t["user"] == user and t["until"] >= self.clock]
        expired = [t for t in every if t["state"] == "leased" and t["until"] < self.clock]
        waiting = [t for t in every if t["state"] == "open"]
        choices = held
        for group in (expired, waiting):
            choices = choices or [t for t in group if self.allowed(t, user)]
        lease = tasks.next_task(self.database, user, lease_s=LEASE_S)
        if not choices:
            assert lease is None
            return
        assert lease is not None
        best = {t["id"] for t in held} or {min(choices, key=lambda t: (-t["priority"], t["id"]))["id"]}
        assert lease.task in best
        task = self.model.tasks[lease.task]
        goes_on = task["state"] == "leased" and task["user"] == user
        token = task["token"] + (not goes_on)
        task.update(state="leased", user=user, token=token, until=self.clock + LEASE_S)
        assert (lease.token, lease.until) == (task["token"], task["until"])
        assert lease.revision == self.model.revision.get((lease.image_id, lease.layer), 0)
        self.leases.append((lease, user))

    def live(self, lease: tasks.Lease) -> bool:
        task = self.model.tasks[lease.task]
        return task["state"] == "leased" and task["token"] == lease.token

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), what=st.sampled_from(["save", "save", "submit", "skip", "give_back", "renew"]))
    def work(self, data: st.DataObject, what: str) -> None:
        lease, user = data.draw(st.sampled_from(self.leases[-4:]))
        live, task = self.live(lease), self.model.tasks[lease.task]
        if what == "save":
            action = self.action(lease.image_id, user, 0, 1, lease.layer)
            expected = self.model.save(action, late=not live)
            call = lambda: tasks.save_task(self.database, lease, action)  # noqa: E731
        else:
            call = {
                "submit": lambda: self.submit(lease),
                "skip": lambda: tasks.skip(self.database, lease, "dark"),
                "give_back": lambda: tasks.give_back(self.database, lease),
                "renew": lambda: tasks.renew(self.database, lease, LEASE_S),
            }[what]
        again = what == "submit" and task["state"] == "done" and task["token"] == lease.token
        try:
            result = call()
        except LostLease:
            assert not live and not again
            return
        assert live or again
        if isinstance(result, Saved):
            assert result.revision == expected
        changes = {
            "submit": {"state": "done", "wanted": None},
            "skip": {"state": "skipped", "wanted": None},
            "give_back": {"state": "open", "user": None},
            "renew": {"until": self.clock + LEASE_S},
        }
        if live:
            task.update(changes.get(what, {}))

    def submit(self, lease: tasks.Lease) -> None:
        tasks.submit(self.database, lease, seconds=1.0)

    @precondition(lambda self: any(self.live(one) and one.kind == "review" for one, _ in self.leases))
    @rule(data=st.data(), verdict=st.sampled_from(["accepted", "returned"]))
    def review(self, data: st.DataObject, verdict: str) -> None:
        own = [one for one, _ in self.leases if self.live(one) and one.kind == "review"]
        lease = data.draw(st.sampled_from(own))
        done = [
            t
            for t in self.model.tasks.values()
            if t["image"] == lease.image_id and t["kind"] == "annotate" and t["state"] == "done"
        ]
        if verdict == "returned" and not done:
            verdict = "accepted"
        tasks.review(self.database, lease, verdict, "the edge")
        self.model.tasks[lease.task].update(state="done", wanted=None)
        if verdict == "returned":
            first = min(done, key=lambda t: t["slot"])
            first.update(state="open", wanted=first["user"])

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "database"):
            return
        for image in range(1, IMAGES + 1):
            for layer in (0, 1):
                place = (image, layer)
                uids = [one.uid for one in annotations.masks_of(self.database, image, layer)]
                assert uids == self.model.alive.get(place, [])
                assert annotations.revision_of(self.database, image, layer) == self.model.revision.get(
                    place, 0
                )

    def teardown(self) -> None:
        if not hasattr(self, "database"):
            return
        for image in range(1, IMAGES + 1):
            branches = annotations.branches_of(self.database, image)
            assert len(branches) == self.model.branches.get(image, 0)
        with self.database.read() as connection:
            rows = connection.execute(select(tasks.tasks)).all()
        for row in rows:
            told = self.model.tasks[row.id]
            assert (row.state, row.user, row.wanted) == (told["state"], told["user"], told["wanted"])
        assert annotations.verify(self.database) == []
        self.database.close()
        self.folder.cleanup()


TestTheStoreAgreesWithAModel = StoreMachine.TestCase
TestTheStoreAgreesWithAModel.settings = settings(
    max_examples=int(os.environ.get("ANYMASK_STORE_RUNS", "200" if os.environ.get("CI") else "8")),
    stateful_step_count=50,
    deadline=None,
)
