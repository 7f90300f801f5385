"""Nothing in this folder runs without OpenCV."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("cv2") else ["test_*.py"]
