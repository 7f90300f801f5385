"""Errors carry a status and an exit code; settings come from the environment and say what is wrong there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anymask import errors
from anymask.errors import AnymaskError, BadImage, BadInput, BadOption, Failure
from anymask.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_every_error_has_a_status_and_an_exit_code() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, AnymaskError)]
    assert len(classes) >= 11
    for error in classes:
        assert error.__doc__ and 400 <= error.http_status <= 599 and error.exit_code in (1, 2)
        assert error.__name__ in (errors.__doc__ or "")
        if issubclass(error, BadInput):
            assert error.http_status < 500 and error.exit_code == (1 if error is BadImage else 2)
        if issubclass(error, Failure):
            assert error.http_status >= 500 and error.exit_code == 1


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"MAX_PIXELS": 1000, "CACHE_DIR": tmp_path, "THREADS": 2, "OFFLINE": 1, "BACKEND": "torch"}
    for name, value in values.items():
        monkeypatch.setenv(f"ANYMASK_{name}", str(value))
    expected = Settings(max_pixels=1000, cache_dir=tmp_path, threads=2, offline=True, backend="torch")
    assert get_settings() == expected and get_settings() is get_settings()


def test_the_folder_of_the_user_is_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_settings().cache_dir == tmp_path / ".cache" / "anymask"


@pytest.mark.parametrize(("name", "value"), [("MAX_PIXELS", "many"), ("MAX_PIXELS", "0"), ("THREADS", "-1")])
def test_a_wrong_setting_is_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ANYMASK_{name}", value)
    with pytest.raises(BadOption, match=f"ANYMASK_{name}={value}: ") as caught:
        get_settings()
    assert "\n" not in str(caught.value)


def test_core_is_light_to_import() -> None:
    modules = "anymask.images.reader, anymask.core.candidates, anymask.core.prompt"
    heavy = "{'torch', 'cv2', 'PIL.Image', 'rlemasklib', 'pydantic', 'pydantic_settings', 'tifffile'}"
    code = f"import sys, {modules}; print(*({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip() == ""
