"""A studio as a process of its own, and plain requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.errors import Failure

API = "/api/v1"
START_S = 120.0
LOOPBACK = "127.0.0.1"


class StudioServer:
    """`anymask studio FOLDER` on a free port; after `kill` it may be started again on the same one."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.link = ""
        self._options = options
        self.python = sys.executable
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder.parent / f"{folder.name}.log"
        with socket.socket() as found:
            found.bind((LOOPBACK, 0))
            self.port: int = found.getsockname()[1]

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def token(self) -> str:
        return self.link.partition("token=")[2]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Raises Failure."""
        command = [self.python, "-m", "anymask", "studio", str(self.folder), "--no-browser"]
        command += ["--port", str(self.port), *self._options]
        with self._log.open("wb") as log:
            # a thread for each computation, as on a shared machine
            environment = {"OMP_NUM_THREADS": "1", **os.environ}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        until = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise Failure(f"the studio did not start: {self._said().strip()[-500:]}")
            time.sleep(0.05)
        found = re.search(r"http://\S+", self._said())
        self.link = found.group() if found else self.address

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def _answers(self) -> bool:
        with contextlib.closing(Client(self, None, timeout=2.0)) as client:
            try:
                return client.ask("GET", "/healthz", root="").status == 200
            except (OSError, http.client.HTTPException):
                return False

    def kill(self) -> None:
        """As a power cut does it to a process."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: int) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[StudioServer]:
    server = StudioServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Answer:
    """`lines_ms`: when each line of a streamed answer had come."""

    status: int
    content: bytes
    ms: float
    lines_ms: tuple[float, ...] = ()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """One connection that is kept. Raises OSError and http.client.HTTPException when the server is away."""

    def __init__(self, server: StudioServer, token: str | None, timeout: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=timeout)
        self._headers = {"Origin": server.address, "Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: Any = None, *, root: str = API, **headers: str) -> Answer:
        """`headers`: with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if body is None else json.dumps(body).encode()
        begun = time.perf_counter()
        try:
            self._connection.request(method, root + path, sent, {**self._headers, **named})
            response = self._connection.getresponse()
            content, lines_ms = _read(response, begun)
        except BaseException:
            self._connection.close()  # half an answer may be left on it
            raise
        return Answer(response.status, content, 1_000 * (time.perf_counter() - begun), lines_ms)

    def close(self) -> None:
        self._connection.close()


def _read(response: http.client.HTTPResponse, begun: float) -> tuple[bytes, tuple[float, ...]]:
    if response.headers.get("Content-Type") != "application/x-ndjson":
        return response.read(), ()
    lines, times = [], []
    while line := response.readline():
        lines.append(line)
        times.append(1_000 * (time.perf_counter() - begun))
    return b"".join(lines), tuple(times)
