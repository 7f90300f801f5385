"""Nothing in this folder runs without the extra `eval`."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("cv2") and find_spec("scipy") else ["test_*.py"]
