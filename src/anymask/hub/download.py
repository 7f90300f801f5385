"""One file from the network to the disk: resumed where it was cut, checked, in place only when it is whole.

Bytes arrive in `<name>.partial` beside the target; that file survives cuts, full disks and Ctrl-C, and the
next call goes on where it ends.
"""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anymask.core.progress import Progress
from anymask.errors import DownloadError, StorageError
from anymask.files import sha256_of

ATTEMPTS = 5
BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
PARTIAL_CONTENT, RANGE_PAST_END, TOO_MANY, SERVER_FAULT = 206, 416, 429, 500
CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file that is known before it is fetched. `sha256`: hexadecimal. `size`: bytes."""

    url: str
    sha256: str
    size: int


def download(
    remote: Remote,
    target: Path,
    *,
    progress: Progress | None = None,
    attempts: int = ATTEMPTS,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch `remote` to `target` and return it; `progress(done, total)` is called as bytes arrive.

    A cut connection is taken up again, up to `attempts` times in a row without a new byte. Raises
    DownloadError when the server refuses, cannot be reached or sends other content, StorageError when the
    disk is full.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        missing, free = remote.size - _size(partial), shutil.disk_usage(partial.parent).free
        if missing > free:
            raise OSError(errno.ENOSPC, f"{missing / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")
        resumed = _size(partial) > 0
        _fetch_all(remote, partial, progress, attempts, pause)
        if sha256_of(partial) != remote.sha256 and resumed:  # the partial file may have been of another
            partial.unlink()
            _fetch_all(remote, partial, progress, attempts, pause)
        if sha256_of(partial) != remote.sha256:
            partial.unlink()
            raise DownloadError(f"{remote.url} sent other content than expected: its SHA-256 differs")
        os.replace(partial, target)
    except OSError as error:
        raise StorageError(_storage_message(error, remote, partial)) from error
    return target


def _fetch_all(
    remote: Remote, partial: Path, progress: Progress | None, attempts: int, pause: Callable[[float], None]
) -> None:
    """Until the partial file has the expected size, over as many connections as it takes."""
    failures = 0
    while (before := _size(partial)) < remote.size:
        try:
            _fetch(remote, partial, progress)
            reason = "the connection was cut"
        except CUT as error:
            reason = _reason(error, remote)
        failures = 0 if _size(partial) > before else failures + 1
        if failures >= attempts:
            raise DownloadError(f"cannot download {remote.url}: {reason}")
        if _size(partial) < remote.size:
            pause(min(8.0, 0.5 * 2**failures))


def _fetch(remote: Remote, partial: Path, progress: Progress | None) -> None:
    """One connection: append what it brings."""
    start = _size(partial)
    headers = {"User-Agent": "anymask", **({"Range": f"bytes={start}-"} if start else {})}
    request = urllib.request.Request(remote.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        content_range = response.headers.get("Content-Range") or ""
        appends = response.status == PARTIAL_CONTENT and content_range.startswith(f"bytes {start}-")
        done = start if appends else 0
        with partial.open("ab" if appends else "wb") as file:
            while done < remote.size and (block := response.read(BLOCK_BYTES)):
                file.write(block[: remote.size - done])
                done = min(done + len(block), remote.size)
                if progress is not None:
                    progress(done, remote.size)


def _reason(error: Exception, remote: Remote) -> str:
    """What went wrong with one connection. Raises DownloadError when trying again is useless."""
    if not isinstance(error, urllib.error.HTTPError):
        return str(getattr(error, "reason", None) or error) or type(error).__name__
    answer = f"the server answered {error.code} {error.reason}"
    if error.code not in (RANGE_PAST_END, TOO_MANY) and error.code < SERVER_FAULT:
        raise DownloadError(f"cannot download {remote.url}: {answer}") from error
    return answer


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _storage_message(error: OSError, remote: Remote, partial: Path) -> str:
    done = _size(partial)
    kept = f"; {done / 1e6:.0f} MB are kept and the next try goes on from there" if done else ""
    what = "the disk is full" if error.errno == errno.ENOSPC else "cannot write"
    return f"{what}: {error.strerror or error} in {partial.parent} for {remote.url}{kept}"
