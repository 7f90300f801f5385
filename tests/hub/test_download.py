"""A download survives cuts, goes on where it ended, checks what came, and says what is wrong in one line."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from anymask.errors import DownloadError, StorageError
from anymask.hub.download import Remote, download

CONTENT = np.random.default_rng(0).bytes(1_500_000)


@dataclass
class Server:
    """What the server does, and the ranges it was asked for."""

    port: int = 0
    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)  # bytes after which the next connections break
    ranges: bool = True
    status: list[int] = field(default_factory=list)  # failures of the next connections
    asked: list[str | None] = field(default_factory=list)

    @property
    def remote(self) -> Remote:
        url = f"http://127.0.0.1:{self.port}/weights.pth"
        return Remote(url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            told.asked.append(asked)
            if told.status:
                self.send_error(told.status.pop(0))
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and told.ranges else 0
            body = told.content[start:]
            self.send_response(206 if start else 200)
            if start:
                size = len(told.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: told.cuts.pop(0)] if told.cuts else body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        http.shutdown()
        thread.join()


def fetch(remote: Remote, target: Path, **options: object) -> Path:
    return download(remote, target, pause=lambda seconds: None, **options)  # type: ignore[arg-type]


def test_a_file_arrives_whole_and_its_progress_is_told(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(server.remote, tmp_path / "new" / "weights.pth", progress=lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) > 2
    assert [p.name for p in path.parent.iterdir()] == ["weights.pth"]


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [400_000, 300_000]
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-", "bytes=700000-"]


def test_another_process_goes_on_where_this_one_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [500_000]
    server.status = []

    def stop(done: int, total: int) -> None:
        if done >= 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.remote, tmp_path / "weights.pth", progress=stop)
    assert not (tmp_path / "weights.pth").exists()
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=500000-"


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [400_000], False
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]


def test_what_was_left_by_another_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.partial").write_bytes(b"x" * 600_000)
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT
    assert server.asked == ["bytes=600000-", None]


def test_a_partial_file_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.partial").write_bytes(b"x" * (len(CONTENT) + 1))
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT


def test_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server.remote, tmp_path / "weights.pth")
    assert not list(tmp_path.iterdir())


def test_a_refusal_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.status = [404]
    with pytest.raises(DownloadError, match=r"weights\.pth: the server answered 404"):
        fetch(server.remote, tmp_path / "weights.pth")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429, 500]
    assert fetch(server.remote, tmp_path / "weights.pth").read_bytes() == CONTENT


def test_a_server_that_never_recovers_is_given_up(server: Server, tmp_path: Path) -> None:
    server.status = [503] * 10
    with pytest.raises(DownloadError, match="503"):
        fetch(server.remote, tmp_path / "weights.pth", attempts=3)
    assert len(server.asked) == 3


def test_no_connection_is_told(tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:9/weights.pth", "0" * 64, 10)
    with pytest.raises(DownloadError, match=r"cannot download http://127\.0\.0\.1:9/weights\.pth: .*refused"):
        fetch(remote, tmp_path / "weights.pth", attempts=2)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_disk_that_fills_up_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.partial").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        fetch(server.remote, tmp_path / "weights.pth")


def test_a_file_larger_than_the_disk_is_not_begun(server: Server, tmp_path: Path) -> None:
    remote = Remote(server.remote.url, server.remote.sha256, 1 << 60)
    with pytest.raises(StorageError, match=r"the disk is full: .* MB needed, .* MB free"):
        fetch(remote, tmp_path / "weights.pth")
    assert not server.asked
