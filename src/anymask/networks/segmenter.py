"""The interface of every promptable network: encode an image once, decode prompts against it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from anymask.core.spec import ModelSpec


class Decoded(NamedTuple):
    """Decoder output for P prompts; slot 0 is the single mask, slots 1..3 the candidates of an ambiguous
    prompt.

    `low_res_masks_P4mm`: logits. `iou_P4`: predicted IoU. `probability_logits_P5`: slots 0..3 and "none of
    these"; None for networks without that head.
    """

    low_res_masks_P4mm: Tensor
    iou_P4: Tensor
    probability_logits_P5: Tensor | None


class Segmenter(Protocol):
    """B images, P prompts, N points (labels 1 positive, 0 negative, 2 and 3 box corners, -1 padding), h w of
    the frame (`spec.frame_hw`), m low-res size.
    """

    spec: ModelSpec

    def encode_image(self, pixels_B3hw: Tensor) -> dict[str, Tensor]: ...

    def decode(
        self,
        embedding: dict[str, Tensor],
        points_PN2: Tensor,
        labels_PN: Tensor,
        masks_P1mm: Tensor | None = None,
        has_mask_P: Tensor | None = None,
    ) -> Decoded:
        """Decode P prompts; `masks` None: none has one."""
        ...
