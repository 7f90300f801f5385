"""How the command line speaks: results on standard output, all else on standard error, a failure in one line.

Every command runs inside `Verbs.invoke`, which turns what was raised into a line and an exit code: 2 for a
call that cannot be right, 1 for one that failed, 130 for Ctrl-C. A traceback is shown only after `anymask
--debug` (or with ANYMASK_DEBUG=1).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from anymask.errors import AnymaskError, MissingExtra, StorageError, UnclearFormat

if TYPE_CHECKING:
    from anymask.data.sources import RecordSource

INTERRUPTED = 130
NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
SECONDS_BETWEEN_LINES = 60
LINE = 79  # characters of progress: more would not overwrite itself on a narrow terminal
CLOSED: set[str] = set()  # streams that were closed when the program began
HOW_TO_GO_ON = {
    "everything": "; the same command goes on where it was",
    "train": "; the same command goes on where it was",
}
HINTS: dict[type[AnymaskError], str] = {UnclearFormat: " with --from"}  # what the message leads up to
DEBUG_VARIABLE = "ANYMASK_DEBUG"
EXTRAS = {
    "torch": "torch", "safetensors": "torch", "cv2": "eval", "scipy": "eval", "onnx_ir": "export",
    "onnxscript": "export", "openvino": "openvino", "tifffile": "tiff",
}  # fmt: skip


class Verbs(TyperGroup):
    """The root of the command line: reports what any command raises."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        before, dashes, after = (args, [], []) if "--" not in args else _split(args)
        if "--debug" in before[1:]:  # after the verb too
            args = ["--debug", *(one for one in before if one != "--debug"), *dashes, *after]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if not _is_usage(error):
                raise
            leave(*explain(error))

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            with _output():
                sys.stdout.flush()
            return result
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            drop_output()
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            leave("interrupted" + HOW_TO_GO_ON.get(ctx.invoked_subcommand, ""), INTERRUPTED)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if (debugging() and not _is_usage(error)) or _is_help(error):
                raise
            leave(*explain(error))


def _split(args: list[str]) -> tuple[list[str], list[str], list[str]]:
    at = args.index("--")
    return args[:at], args[at : at + 1], args[at + 1 :]


def fill_closed_streams() -> None:
    """Streams that are closed (`>&-`) or none (pythonw) become ones that lead nowhere.

    Their numbers would else go to the files that are opened next.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            CLOSED.add(name)


def leave(message: str, exit_code: int) -> NoReturn:
    complain(message)
    drop_output_if_broken()
    raise typer.Exit(exit_code) from None


def complain(message: str) -> None:
    """One line on standard error, whatever the message holds."""
    line = " ".join(str(message).split())
    with contextlib.suppress(OSError):
        print(f"anymask: {_printable(line)}", file=sys.stderr, flush=True)


def _printable(line: str) -> str:
    """File names may hold control characters and bytes that are no text."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    return clean.encode(encoding, "backslashreplace").decode(encoding)


def explain(error: Exception) -> tuple[str, int]:
    """What went wrong in one line, and the exit code."""
    if _is_usage(error):
        context = getattr(error, "ctx", None)
        where = f"; see `{context.command_path} --help`" if context else ""
        return f"{error.format_message().rstrip('.')}{where}", 2  # type: ignore[attr-defined]
    if isinstance(error, AnymaskError):
        return f"{error}{HINTS.get(type(error), '')}", error.exit_code
    if isinstance(error, MemoryError):
        return "not enough memory", 1
    if isinstance(error, ImportError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        return f'this needs {error.name}: pip install "anymask[{extra}]"', MissingExtra.exit_code
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", 1
    return f"internal error, {type(error).__name__}: {error}; `anymask --debug ...` shows where", 1


def _is_help(error: Exception) -> bool:
    """A group that was called without a command."""
    return hasattr(error, "format_message") and not _is_usage(error)


def _is_usage(error: Exception) -> bool:
    """Typer's own complaints about a call, from whichever library it takes them; not help."""
    return hasattr(error, "format_message") and "\n" not in error.format_message()


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports of code that only works with an extra: says which one. Raises MissingExtra."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "anymask"):
            raise
        raise MissingExtra(f'this needs {missing}: pip install "anymask[{extra}]"') from error


def open_data(path: os.PathLike[str]) -> RecordSource:
    """An annotated data set; what of it cannot be used is reported. Raises BadInput."""
    from anymask.data.sources import open_records

    records = open_records(path)
    for line in records.notes.lines():
        complain(line)
    return records


class Failures:
    """Failures of a call over many photos: reported as they come, told by the exit code at the end."""

    def __init__(self) -> None:
        self._codes: list[int] = []

    @contextlib.contextmanager
    def collect(self, path: os.PathLike[str]) -> Iterator[None]:
        """What goes wrong with one photo does not stop the others. Output that nobody takes any more does."""
        try:
            yield
        except (BrokenPipeError, OutputLost):
            raise
        except Exception as error:
            if debugging():
                raise
            message, code = explain(error)
            complain(message if os.fspath(path) in message else f"{os.fspath(path)}: {message}")
            self._codes.append(code)

    def leave_if_any(self) -> None:
        """Exit code 1 when a photo failed, 2 when all that failed did so because of the call."""
        if self._codes:
            raise typer.Exit(min(self._codes))


_told: dict[str, float] = {}  # when progress was last told, where it is no terminal


class OutputLost(StorageError):
    """Standard output takes no more."""


def debugging() -> bool:
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def say(text: str) -> None:
    """A line of the result; characters that the terminal's encoding lacks are written as escapes.

    Raises StorageError when standard output takes no more.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with _output():
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def say_json(text: str) -> None:
    """JSON on one line, in ASCII: the same in every encoding that standard output may have.

    Raises StorageError when standard output takes no more.
    """
    if "stdout" in CLOSED:
        raise OutputLost("cannot write to standard output: it is closed")
    say(NOT_ASCII.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found.group())[1:-1]


@contextlib.contextmanager
def _output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise OutputLost(f"cannot write to standard output: {error.strerror or error}") from error


def drop_output_if_broken() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_output()


def drop_output() -> None:
    """Discard what standard output still holds, so that the interpreter does not fail again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def progress_line(done: int, total: int, text: str = "") -> None:
    """Progress on one line of a terminal, which overwrites itself; elsewhere a line a minute."""
    if sys.stderr is None or "stderr" in CLOSED:
        return
    if not sys.stderr.isatty():
        now = time.monotonic()
        if done < _told.get("done", done + 1):  # another piece of work begins
            _told["at"] = now
        _told["done"] = done if done < total else total + 1
        if now - _told["at"] >= SECONDS_BETWEEN_LINES:
            _told["at"] = now
            complain(text or f"{done}/{total}")
    else:
        line = f"{text or f'{done}/{total}':<{LINE}}"
        print(f"\r{line}", end="\n" if done == total else "", file=sys.stderr, flush=True)
