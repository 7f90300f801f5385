"""What failures look like from outside."""

from __future__ import annotations

import errno

import pytest

from anymask.cli.reporting import complain, explain, needs_extra
from anymask.errors import BadImage, BadPrompt, MissingExtra, StorageError, WeightsError


@pytest.mark.parametrize(
    ("error", "message", "exit_code"),
    [
        (BadPrompt("no point"), "no point", 2),
        (BadImage("a.jpg: empty"), "a.jpg: empty", 1),
        (WeightsError("damaged"), "damaged", 1),
        (StorageError("disk full"), "disk full", 1),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), "a.png: No space left on device", 1),
        (MemoryError(), "not enough memory", 1),
        (ModuleNotFoundError("no", name="torch.nn"), 'this needs torch.nn: pip install "anymask[torch]"', 1),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_failure_has_a_message_and_an_exit_code(error: Exception, message: str, exit_code: int) -> None:
    assert explain(error) == (message, exit_code)


def test_a_bug_says_that_it_is_one_and_how_to_see_more() -> None:
    message, exit_code = explain(ZeroDivisionError("division by zero"))
    assert exit_code == 1
    assert message.startswith("internal error, ZeroDivisionError: division by zero") and "--debug" in message


def test_a_message_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\nb\x1b[31m \udcff.jpg: two\tlines")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("anymask: a b\\x1b[31m") and line.endswith(".jpg: two lines")


def test_a_missing_package_names_the_extra() -> None:
    with (
        pytest.raises(MissingExtra, match=r'this needs cv2: pip install "anymask\[eval\]"'),
        needs_extra("eval"),
    ):
        raise ModuleNotFoundError("No module named 'cv2'", name="cv2")


def test_a_broken_module_of_our_own_is_not_called_a_missing_package() -> None:
    with pytest.raises(ImportError, match="cannot import"), needs_extra("eval"):
        raise ImportError("cannot import name", name="anymask.evaluation")
