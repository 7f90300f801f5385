"""One mask in the making: a session turns one click after the other into a mask.

The plain session asks with everything it has. Another way of asking (looking closer, say) is another session
class; the click protocol does not know which one it runs.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from anymask.evaluation.clicker import Click
from anymask.evaluation.protocol import Answer, EncodedImage


class ClickSession(Protocol):
    def add(self, click: Click) -> np.ndarray:
        """The mask after one more click: bool H x W."""
        ...

    def candidates(self) -> list[np.ndarray]:
        """All masks the last click was answered with, the one `add` returned among them."""
        ...


class PromptSession:
    """Asks with all clicks so far and the previous answer, and takes the mask the model ranks first."""

    def __init__(self, image: EncodedImage) -> None:
        self._image = image
        self._clicks: list[Click] = []
        self._answer: Answer | None = None

    def add(self, click: Click) -> np.ndarray:
        self._clicks.append(click)
        self._answer = self._image.segment(
            points=[c.point_xy for c in self._clicks],
            labels=[c.label for c in self._clicks],
            mask=self._answer,
        )
        return self._answer.best.array

    def candidates(self) -> list[np.ndarray]:
        return [c.array for c in self._answer] if self._answer is not None else []
