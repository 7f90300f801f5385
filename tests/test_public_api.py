"""What `import anymask` gives, and what it does not load. How long it takes: `make bench`."""

from __future__ import annotations

import subprocess
import sys

import anymask

IMPORT = """
import anymask
anymask.load
import sys
print(*{"torch", "onnxruntime", "pydantic", "cv2", "openvino", "PIL"} & set(sys.modules))
"""


def test_the_import_loads_no_runtime() -> None:
    loaded = subprocess.check_output([sys.executable, "-c", IMPORT], text=True)
    assert loaded.split() == []


def test_every_public_name_is_there() -> None:
    assert sorted(anymask.__all__) == anymask.__all__
    for name in anymask.__all__:
        assert getattr(anymask, name).__name__ == name
    assert set(anymask.__all__) <= set(dir(anymask))
