"""Writing files so that a reader never sees half of one. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from anymask.errors import StorageError

LEFTOVER = re.compile(r"\..+\.\d+\.part")  # the name of a half: see `writing_atomically`


def make_folder(path: Path) -> Path:
    """Create a folder and its parents. Raises StorageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {reason(error)}") from error
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file. Raises StorageError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}") from error


def check_not_an_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raises StorageError when writing `path` would replace a file that a command reads, under any name."""
    if any(_same_file(path, one) for one in inputs):
        raise StorageError(f"{path} is an input of this call and is not overwritten; choose another folder")


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename: `path` is the old file or the whole new one, whatever happens.

    Raises StorageError.
    """
    with writing_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[IO[bytes]]:
    """The same for content that comes piece by piece; nothing is left when the block raises."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "xb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in `folder` and below: the halves beside their files.

    Only for who alone may write there. A writer that is still at it fails with StorageError.
    """
    for part in folder.rglob(".*.part"):
        if LEFTOVER.fullmatch(part.name):
            with contextlib.suppress(OSError):
                part.unlink()


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return False


def reason(error: OSError) -> str:
    """'No space left on device' rather than '[Errno 28] ...'."""
    return error.strerror or str(error)
