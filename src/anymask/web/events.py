"""What is told to every open page: jobs, saves of others, changes of the project."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

from anymask.store.users import User

QUIET_S = 15.0  # between comments that keep a connection open
WAITING = 1_000  # events for a page that does not read; then it is let go and loads anew


class Events:
    """Events go to the pages that listen at that moment; `tell` may be called in any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[asyncio.Queue[str | None], User] = {}

    def begin(self) -> None:
        """In the event loop of the server."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """Let all pages go."""
        for queue in self._queues:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    @property
    def reaches_annotators(self) -> bool:
        """Whether one of them listens: what they may hear need not be looked up for nobody."""
        return any(user.role == "annotator" for user in list(self._queues.values()))

    def tell(self, name: str, data: dict[str, Any], annotators: Collection[str] | None = None) -> None:
        """`annotators`: those who hear it; None: all. Reviewers and admins hear everything."""
        if self._loop is not None and not self._loop.is_closed():
            text = f"event: {name}\ndata: {json.dumps(data, ensure_ascii=True)}\n\n"
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._spread, text, annotators)

    def _spread(self, text: str, annotators: Collection[str] | None) -> None:
        for queue, user in self._queues.items():
            if annotators is not None and user.role == "annotator" and user.name not in annotators:
                continue
            if queue.full():
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)

    @contextlib.contextmanager
    def _listening(self, user: User) -> Iterator[asyncio.Queue[str | None]]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        self._queues[queue] = user
        try:
            yield queue
        finally:
            del self._queues[queue]

    async def stream(self, user: User) -> AsyncIterator[str]:
        """Lines of server-sent events, for this person."""
        with self._listening(user) as queue:
            yield ": hello\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), QUIET_S)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
