"""The Segment Anything network: an image encoder, the prompt encoder and the mask decoder behind `Segmenter`.

Its children have the published names, so published weights load as they are.

Legend: B images, P prompts, N points, C channels, S input size, m low-res mask size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.networks.mask_decoder import MaskDecoder
from anymask.networks.prompt_encoder import PromptEncoder
from anymask.networks.segmenter import Decoded


class Sam(nn.Module):
    """Any image encoder with the published prompt encoder and mask decoder."""

    def __init__(
        self, image_encoder: nn.Module, prompts: PromptEncoder, masks: MaskDecoder, spec: ModelSpec
    ) -> None:
        super().__init__()
        self.image_encoder, self.prompt_encoder, self.mask_decoder = image_encoder, prompts, masks
        self.spec = spec

    def encode_image(self, pixels_B3SS: Tensor) -> dict[str, Tensor]:
        """Embedding B x C x S/16 x S/16 of a normalised, zero-padded batch."""
        return {"image_embeddings": self.image_encoder(pixels_B3SS)}

    def decode(
        self,
        embedding: dict[str, Tensor],
        points_PN2: Tensor,
        labels_PN: Tensor,
        masks_P1mm: Tensor | None = None,
        has_mask_P: Tensor | None = None,
        text_PTD: Tensor | None = None,
    ) -> Decoded:
        """Decode P prompts; points are pixel indices, box corners are points labelled 2 and 3. `text_PTD`:
        tokens of a text or image, where the weights know them (recipe `text_paper`).

        The embedding's batch is 1 (shared by all prompts) or P. Without masks the decoder shares the image
        among the prompts until the first of them has changed it.
        """
        sparse_PNC = self.prompt_encoder.embed_points(points_PN2, labels_PN)
        if text_PTD is not None:
            sparse_PNC = torch.cat([sparse_PNC, self.prompt_encoder.embed_text(text_PTD)], dim=1)
        if masks_P1mm is None or has_mask_P is None:
            dense_QChw = self.prompt_encoder.no_mask(1)
        else:
            dense_QChw = self.prompt_encoder.embed_masks(masks_P1mm, has_mask_P)
        masks_P4mm, iou_P4 = self.mask_decoder(
            embedding["image_embeddings"], self.prompt_encoder.dense_pe(), sparse_PNC, dense_QChw
        )
        return Decoded(masks_P4mm, iou_P4, None)
