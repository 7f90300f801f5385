"""The names of the `segment_anything` package, for code that migrates: change the import and it runs.

Submodules, arguments, array shapes, coordinates (pixel indices: the first centre is 0, 0) and results are
those of the published code, unlike in the rest of this package. Needs torch, as that code does. Weights are
read without running pickles.

    from anymask.compat import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

`import anymask.compat.install` is for code that cannot be changed: from then on `segment_anything` is this.
"""

from __future__ import annotations

from anymask.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra('anymask.compat needs torch: pip install "anymask[torch]"') from error

from anymask.compat.automatic_mask_generator import SamAutomaticMaskGenerator
from anymask.compat.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from anymask.compat.modeling.sam import Sam
from anymask.compat.predictor import SamPredictor
from anymask.compat.utils.transforms import ResizeLongestSide

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]
