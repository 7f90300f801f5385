"""A photo on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from anymask.errors import BadImage, mapped

MAX_STDIN_BYTES = 1 << 30


def is_stdin(path: Path) -> bool:
    return str(path) in ("-", "/dev/stdin", "/dev/fd/0")


def photo_source(path: Path) -> Path | bytes:
    """What `read_image` takes: the path, or the bytes of standard input. Raises BadImage."""
    if not is_stdin(path):
        return path
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise BadImage("standard input: expected a photo from a pipe or a file, got none")
    with mapped((OSError, ValueError), BadImage, "standard input cannot be read"):
        content: bytes = stream.read(MAX_STDIN_BYTES + 1)
    if len(content) > MAX_STDIN_BYTES:
        raise BadImage(f"standard input: expected a photo of at most {MAX_STDIN_BYTES:,} bytes, got more")
    return content
