"""OpenCV, which the core install leaves out: the one place where evaluation imports it."""

from __future__ import annotations

from anymask.errors import MissingExtra

try:
    import cv2
except ImportError as error:
    raise MissingExtra('evaluation needs OpenCV: pip install "anymask[eval]"') from error

__all__ = ["cv2"]
