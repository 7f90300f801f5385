"""A pool of worker processes: tasks in, answers out as they are ready. A process that dies costs one task.

Workers are started fresh (spawn), so that no state of this process or its threads reaches them; they stop
by themselves when this process is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar, cast

from anymask.errors import Failure

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Work = Callable[[Task], Answer]
PATIENCE_SECONDS = 10.0


class WorkerDied(Failure):
    """The process that did this task ended without an answer: killed, or out of memory."""


class _Worker(Generic[Task, Answer]):
    """A process with one task at a time."""

    def __init__(self, make_work: Callable[[], Work[Task, Answer]]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make_work), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # it died at its start; `take` will say so
            self.connection.send(task)

    def take(self) -> Answer | Exception:
        """The answer that is ready. WorkerDied where there is none."""
        try:
            return cast(Answer | Exception, self.connection.recv())
        except (EOFError, OSError):
            self.process.join(PATIENCE_SECONDS)
            return WorkerDied(f"the process that worked on it ended (exit code {self.process.exitcode})")

    def stop(self) -> None:
        self.connection.close()
        self.process.join(PATIENCE_SECONDS if self.task is None else 0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_all(
    tasks: Sequence[Task], make_work: Callable[[], Work[Task, Answer]], processes: int
) -> Iterator[tuple[Task, Answer | Exception]]:
    """Every task with its answer, or with what it raised, in the order in which they are ready.

    `make_work` is called once in each process and must be picklable, as tasks and answers must be.
    """
    todo = iter(tasks)
    workers: list[_Worker[Task, Answer]] = []
    try:
        for _, task in zip(range(max(1, processes)), todo, strict=False):
            workers.append(_Worker(make_work))
            workers[-1].give(task)
        while busy := [w for w in workers if w.task is not None]:
            for ready in wait([w.connection for w in busy]):
                number = next(i for i, w in enumerate(workers) if w.connection is ready)
                worker = workers[number]
                done, found = worker.task, worker.take()
                worker.task = None
                if isinstance(found, WorkerDied):
                    worker.stop()
                    worker = workers[number] = _Worker(make_work)
                for task in todo:
                    worker.give(task)
                    break
                yield done, found  # type: ignore[misc]
    finally:
        for worker in workers:
            worker.stop()


def _serve(connection: Connection, make_work: Callable[[], Work[Any, Any]]) -> None:
    """The life of a worker: until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    work: Work[Any, Any] | Exception
    try:
        work = make_work()
    except Exception as error:
        work = error  # the answer to every task
    while True:
        try:
            task = connection.recv()
            connection.send(work if isinstance(work, Exception) else answer(work, task))
        except (EOFError, OSError):
            return


def answer(work: Work[Task, Answer], task: Task) -> Answer | Exception:
    """What comes of a task, or what it raised."""
    try:
        return work(task)
    except Exception as error:
        return error
