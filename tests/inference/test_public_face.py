"""What `import anymask` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import anymask

IMPORT = """
import time
started = time.perf_counter()
import anymask
anymask.load
seconds = time.perf_counter() - started
import sys
print(seconds, *{"torch", "onnxruntime", "pydantic", "cv2", "openvino"} & set(sys.modules))
"""


def test_the_import_is_quick_and_loads_no_runtime() -> None:
    runs = [subprocess.check_output([sys.executable, "-c", IMPORT], text=True).split() for _ in range(3)]
    assert all(loaded == [] for _, *loaded in runs)
    assert min(float(seconds) for seconds, *_ in runs) <= 0.3


def test_every_public_name_is_there() -> None:
    assert sorted(anymask.__all__) == anymask.__all__
    for name in anymask.__all__:
        assert getattr(anymask, name).__name__ == name
    assert set(anymask.__all__) <= set(dir(anymask))
