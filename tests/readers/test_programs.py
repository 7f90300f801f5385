"""The programs are there: without this, a run in which all of them skip would look like one that passed."""

from __future__ import annotations

import os

import pytest
from programs import reader

PROGRAMS = ("datumaro", "labelme", "pycocotools.coco", "supervision", "ultralytics.data.utils")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_installed(name: str) -> None:
    if "ANYMASK_READERS" not in os.environ:
        pytest.skip("only where `make readers` installs them")
    try:
        reader(name)
    except pytest.skip.Exception as missing:
        pytest.fail(str(missing))
