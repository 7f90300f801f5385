"""Apart: the training of a round in a process of its own, which can be killed and gives its memory back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from anymask.core.progress import Progress
from anymask.data.sources import RecordSource
from anymask.engine.promotion import decide
from anymask.engine.rounds import Recipe, Trained
from anymask.errors import AnymaskError, Failure

POLL_S = 0.5
NICE = 10  # people who annotate meanwhile come first


@dataclass(frozen=True, slots=True)
class Told:
    """Progress of the child."""

    done: int
    total: int


def recipe_apart(quick: bool, progress: Callable[[str, int, int], None]) -> Recipe:
    """The default recipe; `progress` is called with what is done, how far, twice a second at least. What it
    raises ends the child and goes on.
    """
    measured: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}

    def train(records: RecordSource, base: str, out: Path, *, seed: int) -> Trained:
        def told(done: int, total: int) -> None:
            progress("training" if done < total else "fitting thresholds", done, total)

        found: Trained = run_apart(_train, (quick, records, base, out, seed), told)
        return found

    def evaluate(model: str, records: RecordSource) -> dict[str, Any]:
        key = (model, tuple(records.keys))
        if key not in measured:
            told = lambda done, total: progress("measuring", done, total)  # noqa: E731
            measured[key] = run_apart(_evaluate, (quick, model, records), told)
        return measured[key]

    return Recipe(train, evaluate, decide)


def _train(
    progress: Progress, quick: bool, records: RecordSource, base: str, out: Path, seed: int
) -> Trained:
    from anymask.engine.recipe import default_recipe

    return default_recipe(quick=quick, progress=progress).train(records, base, out, seed=seed)


def _evaluate(progress: Progress, quick: bool, model: str, records: RecordSource) -> dict[str, Any]:
    from anymask.engine.recipe import default_recipe

    return default_recipe(quick=quick).evaluate(model, records)


def run_apart(function: Callable[..., Any], arguments: tuple[Any, ...], progress: Progress) -> Any:
    """The function in a new process. Raises what it raised, and Failure when it was killed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, function, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        return _result(ours, progress)
    finally:
        child.kill()
        child.join()
        ours.close()


def _result(connection: Connection, progress: Progress) -> Any:
    last = Told(0, 1)
    while True:
        with contextlib.suppress(EOFError, ConnectionError):
            if not connection.poll(POLL_S):
                progress(last.done, last.total)
                continue
            answer = connection.recv()
            if isinstance(answer, Told):
                last = answer
                progress(last.done, last.total)
                continue
            worked, value = answer
            if worked:
                return value
            raise value
        raise Failure("the process of the training has ended: was there enough memory?")


def _child(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with contextlib.suppress(OSError):
        os.nice(NICE)
    try:
        value = (True, function(lambda done, total: connection.send(Told(done, total)), *arguments))
    except AnymaskError as error:
        value = (False, error)
    except BaseException as error:  # whatever it is, the parent has to hear of it
        value = (False, Failure(f"training: {type(error).__name__}: {error}"))
    connection.send(value)
