"""The libraries of the extra `eval`: OpenCV is imported here, SciPy where it is used."""

from __future__ import annotations

from anymask.errors import MissingExtra

try:
    import cv2 as cv2
    import scipy  # noqa: F401
except ImportError as error:
    raise MissingExtra('evaluation needs OpenCV and SciPy: pip install "anymask[eval]"') from error
