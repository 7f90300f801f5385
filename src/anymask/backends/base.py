"""Backend: what runs a network. Encode an image once, answer prompts against the embedding.

The only seam between a network and everything above it: arrays on both sides. A backend is chosen once, by
name, in `registry.py`; nobody below asks which one it is.

Legend: P prompts, N points, h w of the part of the model frame that is shown, m side of the
low-resolution masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.spec import ModelSpec

Floats = NDArray[np.float32]
EmbeddingArrays = Mapping[str, Floats]
SINGLE, SEVERAL, NONE = slice(0, 1), slice(1, 4), 4  # slots of the decoder


@dataclass(frozen=True, slots=True, eq=False)
class DecodeInput:
    """P prompts with the same number of points, in the model frame.

    `points_PN2`: x, y. `labels_PN`: 1 positive, 0 negative, 2 and 3 box corners, -1 padding. `masks_P1mm`:
    logits of an earlier answer, zeros where `has_mask_P` is 0. All float32.
    """

    points_PN2: Floats
    labels_PN: Floats
    masks_P1mm: Floats
    has_mask_P: Floats

    def __len__(self) -> int:
        return len(self.points_PN2)

    @property
    def arrays(self) -> tuple[Floats, ...]:
        return self.points_PN2, self.labels_PN, self.masks_P1mm, self.has_mask_P

    def row(self, index: int) -> DecodeInput:
        """One prompt of them, as a call of its own."""
        return DecodeInput(*(array[index : index + 1] for array in self.arrays))


@dataclass(frozen=True, slots=True, eq=False)
class DecodedArrays:
    """What the network says; slot 0 is the single mask, slots 1..3 the candidates of an ambiguous prompt.

    `probability_logits_P5`: slots 0..3 and "none of these"; None for networks without that head.
    """

    low_res_masks_P4mm: Floats
    iou_P4: Floats
    probability_logits_P5: Floats | None = None


class Backend(Protocol):
    """Safe to share between threads: both methods may run at the same time.

    `batch_size`: prompts per call to `decode` that pay. On a processor it is 1 where more are no faster,
    take more memory and round differently. Whatever it is there, a batch gets exactly the single answers.
    """

    @property
    def batch_size(self) -> int: ...

    @property
    def spec(self) -> ModelSpec: ...

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        """The arrays `spec.embedding_names` of one normalised, padded image: h x w is `spec.frame_hw`."""
        ...

    def decode(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> DecodedArrays: ...
