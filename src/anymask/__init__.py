"""anymask: points, a box or a mask in; masks with a predicted quality and a probability out.

    model = anymask.load()
    image = model.encode("photo.jpg")
    answer = image.segment(points=[(480, 300)])

Names are imported when they are first used: `import anymask` alone is quick and loads neither torch nor a
runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anymask.api import EncodedImage, Model, load
    from anymask.core.automatic_mask import AutomaticMask
    from anymask.core.candidates import Candidate, Candidates
    from anymask.core.embedding import Embedding
    from anymask.core.mask import Mask
    from anymask.core.prompt import Prompt
    from anymask.errors import AnymaskError, BadInput, Failure
    from anymask.images.reader import read_image
    from anymask.predict.detectors import DetectedBoxes

__version__ = "0.1.0"
_HOME = {
    "AnymaskError": "errors",
    "AutomaticMask": "core.automatic_mask",
    "BadInput": "errors",
    "Candidate": "core.candidates",
    "Candidates": "core.candidates",
    "DetectedBoxes": "predict.detectors",
    "Embedding": "core.embedding",
    "EncodedImage": "api",
    "Failure": "errors",
    "Mask": "core.mask",
    "Model": "api",
    "Prompt": "core.prompt",
    "load": "api",
    "read_image": "images.reader",
}
__all__ = [
    "AnymaskError", "AutomaticMask", "BadInput", "Candidate", "Candidates", "DetectedBoxes",
    "Embedding", "EncodedImage", "Failure", "Mask", "Model", "Prompt", "load", "read_image",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'anymask' has no attribute {name!r}")
    value = getattr(import_module(f"anymask.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
