"""A server for tests: lines of JSON over 127.0.0.1 in, one out after the commit. `python store_server.py URL`

`python store_server.py URL` prints its port. One thread a client.
What the store refuses comes back as {"error": class, "message": ...}.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
from dataclasses import asdict

import numpy as np

from anymask.core.mask import Mask
from anymask.errors import AnymaskError
from anymask.store import annotations, tasks
from anymask.store.database import Database
from anymask.store.values import Action, StoredMask


def square(number: int, size_hw: tuple[int, int]) -> Mask:
    """A mask that differs by number."""
    inside = np.zeros(size_hw, bool)
    y, x = divmod(number % ((size_hw[0] - 4) * (size_hw[1] - 4)), size_hw[1] - 4)
    inside[y : y + 4, x : x + 4] = True
    return Mask.from_array(inside)


def answer(database: Database, asked: dict) -> dict:
    what = asked.pop("do")
    if what == "save":
        saved = annotations.save(database, action(asked))
        return asdict(saved)
    if what == "revision":
        return {"revision": annotations.revision_of(database, asked["image"])}
    if what == "next":
        lease = tasks.next_task(database, asked["user"], lease_s=asked.get("lease_s", 60.0))
        return {"lease": lease and asdict(lease)}
    lease = tasks.Lease(**asked["lease"])
    if what == "save_task":
        return asdict(tasks.save_task(database, lease, action(asked)))
    tasks.submit(database, lease, seconds=1.0)
    return {}


def action(asked: dict) -> Action:
    mask = square(asked["number"], (64, 64))
    adds = (StoredMask(asked["key"][:40], mask, seconds=1.0, more={"clicks": [[1, 2]]}),)
    return Action(asked["image"], asked["base"], asked["key"], asked["user"], adds, (), asked.get("layer", 0))


class Client(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            try:
                reply = answer(self.server.database, json.loads(line))
            except AnymaskError as error:
                reply = {"error": type(error).__name__, "message": str(error)}
            self.wfile.write(json.dumps(reply).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    with Database.open(sys.argv[1]) as database, Server(("127.0.0.1", 0), Client) as server:
        server.database = database
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print(server.server_address[1], flush=True)
        server.serve_forever()


def _end_with_parent() -> None:
    """The other end of standard input is held by the test: whatever ends that ends this."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
