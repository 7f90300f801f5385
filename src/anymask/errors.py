"""Everything that can go wrong, as one tree.

    AnymaskError
    +-- BadInput             the caller gave something that cannot be used
    |   +-- BadImage         an image that is missing, damaged, empty or too large
    |   +-- BadPrompt        points, boxes, masks or words that make no sense for the image
    |   +-- BadOption        an option with a value that is not allowed
    |   +-- UnclearFormat    a data set whose format the caller is to choose
    |   +-- ModelNotFound    a model name that nobody knows
    +-- Failure              the request was fine, carrying it out was not
        +-- WeightsError     a weights file that is damaged or belongs to another network
        +-- DownloadError    a file that could not be fetched
        +-- StorageError     a file that could not be written (disk full, read-only)
        +-- MissingExtra     an optional package that is not installed

`http_status` and `exit_code` say how an error leaves a server and a command. Messages are one line: what was
expected, what came, what to do. `mapped` turns errors of other libraries into these where they are called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar


class AnymaskError(Exception):
    """Base of all errors this package raises on purpose."""

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class BadInput(AnymaskError):
    """The caller gave something that cannot be used."""

    http_status = 400
    exit_code = 2


class BadImage(BadInput):
    """The image is missing, damaged, empty or too large. Exit code 1: the call was right, the file is not."""

    exit_code = 1


class BadPrompt(BadInput):
    """Points, boxes, masks or words that make no sense for the image."""


class BadOption(BadInput):
    """An option has a value that is not allowed."""


class UnclearFormat(BadInput):
    """What format a data set has cannot be told from what it holds: the caller is to choose."""


class ModelNotFound(BadInput):
    """No model of that name or path."""

    http_status = 404


class Failure(AnymaskError):
    """The request was fine, carrying it out was not."""


class WeightsError(Failure):
    """A weights file is damaged, not of a safe format, or belongs to another network."""


class DownloadError(Failure):
    """A file could not be fetched."""


class StorageError(Failure):
    """A file could not be written."""

    http_status = 507


class MissingExtra(Failure):
    """An optional package is not installed; the message names the command that installs it."""

    http_status = 501


@contextlib.contextmanager
def mapped(
    caught: type[Exception] | tuple[type[Exception], ...], error: type[AnymaskError], message: str
) -> Iterator[None]:
    """Turn exceptions of a library into one of ours: `message`, then the reason. Our own pass unchanged."""
    try:
        yield
    except AnymaskError:
        raise
    except caught as cause:
        raise error(f"{message}: {reason(cause)}") from cause


def reason(error: BaseException) -> str:
    """One line: 'No space left on device' rather than '[Errno 28] ...'."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
