"""Fixtures of store tests: a PostgreSQL and an S3 of their own, on 127.0.0.1 alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def as_postgres(*command: str) -> None:
    """The server refuses to run as root."""
    before = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*before, *command], check=True, capture_output=True, timeout=120, cwd="/")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A cluster that lives as long as the tests; skipped where there is no PostgreSQL."""
    found = shutil.which("initdb")
    binaries = POSTGRES[-1] if POSTGRES else Path(found).parent if found else None
    if binaries is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="anymask-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        port = free_port()
        as_postgres(str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        control = (str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log"))
        as_postgres(*control, "-o", options, "-w", "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            as_postgres(*control, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_postgres(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database and gives its URL."""
    import psycopg

    def make() -> str:
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{postgres_url}/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a project that is not there yet, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'project.db'}"
    return request.getfixturevalue("new_postgres")()


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A bucket in a local server of S3."""
    pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    try:
        host, port = server.get_host_and_port()
        import urllib.request

        request = urllib.request.Request(f"http://{host}:{port}/masks", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            yield f"s3://masks/project?endpoint=http://{host}:{port}&region=us-east-1"
    finally:
        server.stop()


class ServerProcess:
    """`store_server.py` as a process of its own."""

    def __init__(self, url: str) -> None:
        began = time.monotonic()
        paths = os.pathsep.join(one for one in sys.path if one)
        self.process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "store_server.py"), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.port = int(self.process.stdout.readline() or 0)
        self.seconds_to_start = time.monotonic() - began
        assert self.port, "the server did not start"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process.stdin.close()
        self.process.stdout.close()


class Line:
    """One client: asks and waits for the answer; OSError when the server is gone."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def ask(self, **asked: object) -> dict:
        self.socket.sendall(json.dumps(asked).encode() + b"\n")
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the server is gone")
        return json.loads(line)

    def drop(self) -> None:
        """Not waiting for an answer."""
        self.file.close()
        self.socket.close()
