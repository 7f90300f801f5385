"""Atomic file writes, checksums, checks of paths. Knows nothing of what is in the files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from anymask.errors import BadInput, StorageError, mapped

MAX_NAME_BYTES = 200  # of one part of a path
LEFTOVER = re.compile(r"\..+\.\d+\.part")  # the temporary file of `writing_atomically`


def make_folder(path: Path) -> Path:
    """Create a folder and its parents. Raises StorageError."""
    with mapped(OSError, StorageError, f"cannot make the folder {path}"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_not_an_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raises StorageError when writing `path` would replace a file that a command reads, under any name."""
    if any(_same_file(path, one) for one in inputs):
        raise StorageError(f"{path} is an input of this call and is not overwritten; choose another folder")


_inside: ContextVar[Path | None] = ContextVar("anymask_inside", default=None)


@contextlib.contextmanager
def only_inside(folder: Path) -> Iterator[None]:
    """While data is read that somebody sent: it may name any file of this machine, none but those in the
    folder are read.
    """
    before = _inside.set(folder.resolve())
    try:
        yield
    finally:
        _inside.reset(before)


def is_inside(path: Path) -> bool:
    """Whether a file may be read, see `only_inside`."""
    folder = _inside.get()
    return folder is None or path.resolve().is_relative_to(folder)


def check_regular(path: Path) -> None:
    """Opening a pipe or a device may wait for ever. Raises BadInput for what is there but no regular file, and
    for a file that may not be read, see `only_inside`.
    """
    if not is_inside(path):
        raise BadInput(f"{path} is outside of what was sent")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise BadInput(f"{path}: expected a regular file, got {kind}")


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename: `path` is the old file or the whole new one, whatever happens.

    Its folder is made where there is none. Raises StorageError.
    """
    with writing_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[IO[bytes]]:
    """The same for content that comes piece by piece; nothing is left when the block raises."""
    part = make_folder(path.parent) / f".{short_file_name(path.name)}.{os.getpid()}.part"
    try:
        with mapped(OSError, StorageError, f"cannot write {path}"):
            with open(part, "x+b") as file:
                yield file
            os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def staging(folder: Path, last: str) -> Iterator[Path]:
    """A folder in `folder` to write files into that make sense together only: when the block ends they
    move to `folder`, those that match `last` after the others; nothing is left when it raises.
    Raises StorageError.

    A process that is killed leaves it behind: its name begins with a dot.
    """
    failure = f"cannot write in {folder}"
    with mapped(OSError, StorageError, failure):
        staged = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=make_folder(folder)))
    try:
        yield staged
        with mapped(OSError, StorageError, failure):
            for path in sorted(staged.iterdir(), key=lambda p: (p.match(last), p.name)):
                os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that writers that were killed left in `folder` and below.

    Only for who alone may write there. A writer that is still at work fails with StorageError.
    """
    for part in folder.rglob(".*.part"):
        if LEFTOVER.fullmatch(part.name):
            with contextlib.suppress(OSError):
                part.unlink()


def short_name(name: str, limit: int = MAX_NAME_BYTES) -> str:
    """At most so many bytes: file systems take 255, of which suffixes need some. Cut ones end in a digest."""
    content = name.encode("utf-8", "surrogateescape")
    if len(content) <= limit:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: limit - 10].decode('utf-8', 'ignore')}-{digest}"


def short_file_name(name: str) -> str:
    """The same of a name as this process, with its locale, has it."""
    return os.fsdecode(short_name(utf8_name(name)).encode("utf-8", "surrogateescape"))


def utf8_name(name: str) -> str:
    """The name of a file as text, also where the locale of this process knows no UTF-8."""
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no file is called so: a name out of a JSON file
        return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits. Raises StorageError when it cannot be read."""
    with mapped(OSError, StorageError, f"cannot read {path}"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return False
