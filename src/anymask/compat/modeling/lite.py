"""The lite network behind the published calls, though it is made in another way.

- Its encoder makes four maps of different sizes. They travel as one tensor, without loss: every map is folded
  to stride 8, so that grid and mask have the published sizes (64 and 256) at the size lite was made for.
- Its prompts are read beside the image. Until the decoder has the image they stay as they are: a "sparse
  embedding" is x, y and label, a "dense embedding" is a mask and whether there is one.

Legend: B prompts, N points, C channels, h w embedding grid at stride 8, m low-res mask size (4 h).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.compat.modeling.adopt import adopted
from anymask.compat.modeling.mask_decoder import of_one_or_several
from anymask.core.frames import OUTSIDE
from anymask.networks.lite import EMBED_DIM, LITE_SPEC, SKIP_CHANNELS, Lite, LiteEncoder
from anymask.networks.lite_decoder import MASK_SLOTS, LiteDecoder, LitePromptEncoder
from anymask.networks.segmenter import Decoded

SizeHW = tuple[int, int]

NAMES = LITE_SPEC.embedding_names
CHANNELS = (EMBED_DIM, *SKIP_CHANNELS)
STRIDES = (16, 8, 4, 2)
FOLDED_STRIDE = 8
FOLDED_CHANNELS = tuple(
    n * FOLDED_STRIDE**2 // stride**2 for n, stride in zip(CHANNELS, STRIDES, strict=True)
)
GRID = LITE_SPEC.input_size // FOLDED_STRIDE

HALF_PIXEL = 0.5  # published coordinates are pixel indices, lite's are continuous
PADDING, BOX_CORNERS = -1.0, (2.0, 3.0)  # labels
LOGIT_LIMIT = 32.0  # of mask prompts, as in training


def folded(maps: dict[str, Tensor]) -> Tensor:
    """The maps of an image as one tensor B x 464 x h x w."""
    return torch.cat([_at_stride(maps[n], s, FOLDED_STRIDE) for n, s in zip(NAMES, STRIDES, strict=True)], 1)


def unfolded(embedding: Tensor) -> dict[str, Tensor]:
    """The inverse of `folded`. Raises ValueError for what lite did not make."""
    if embedding.shape[-3] != sum(FOLDED_CHANNELS):
        raise ValueError(
            f"image_embeddings: expected {sum(FOLDED_CHANNELS)} channels, as lite's image encoder makes, "
            f"got {embedding.shape[-3]}: this is anymask's own model, for one of the published networks "
            "give sam_model_registry a checkpoint"
        )
    parts = embedding.split(FOLDED_CHANNELS, dim=-3)
    return {n: _at_stride(part, FOLDED_STRIDE, s) for n, part, s in zip(NAMES, parts, STRIDES, strict=True)}


def _at_stride(x: Tensor, stride: int, wanted: int) -> Tensor:
    if stride < wanted:
        return F.pixel_unshuffle(x, wanted // stride)
    return F.pixel_shuffle(x, stride // wanted) if stride > wanted else x


class LiteImageEncoder(LiteEncoder):
    """Pixels B x 3 x S x S to one tensor B x 464 x S/8 x S/8. S: any multiple of 32, best 512."""

    img_size: int = LITE_SPEC.input_size

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return folded(super().forward(x))


class LitePrompts(LitePromptEncoder):
    """`forward(points, boxes, masks)` gives B x N x 3 (x, y, label), B x 2 x m x m (mask, is there one)."""

    embed_dim: int = sum(FOLDED_CHANNELS)
    image_embedding_size: SizeHW = (GRID, GRID)
    input_image_size: SizeHW = (LITE_SPEC.input_size, LITE_SPEC.input_size)
    mask_input_size: SizeHW = (LITE_SPEC.low_res_size, LITE_SPEC.low_res_size)
    num_point_embeddings: int = 4

    def forward(  # type: ignore[override]
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Arguments as those of the published encoder, coordinates too."""
        given = (None if points is None else points[0], boxes, masks)
        prompts = next((len(some) for some in given if some is not None), 1)
        blank_B13 = self.label_embed.weight.new_tensor([0.0, 0.0, PADDING]).expand(prompts, 1, 3)
        corners, clicks = blank_B13.expand(prompts, 2, 3), blank_B13
        if boxes is not None:
            corners_B22 = boxes.to(blank_B13).reshape(-1, 2, 2)
            corners = self.columns(corners_B22, corners_B22.new_tensor(BOX_CORNERS).expand(prompts, 2))
        if points is not None:
            clicks = self.columns(*(tensor.to(blank_B13) for tensor in points))
        return torch.cat([corners, clicks], dim=1), self.mask_planes(masks, prompts)

    def columns(self, points_BN2: Tensor, labels_BN: Tensor) -> Tensor:
        """B x N x 3 of points in pixel indices; labels as published, 2 and 3 for the corners of a box."""
        return torch.cat([points_BN2 + HALF_PIXEL, labels_BN.unsqueeze(-1)], dim=-1)

    def mask_planes(self, masks: Tensor | None, prompts: int, has_mask: Tensor | None = None) -> Tensor:
        """B x 2 x m x m of mask logits B x 1 x m x m; of zeros where there are none."""
        if masks is None:
            return self.label_embed.weight.new_zeros(1, 2, *self.mask_input_size).expand(prompts, -1, -1, -1)
        masks = masks.to(self.label_embed.weight)
        there = torch.ones_like(masks) if has_mask is None else has_mask.reshape(-1, 1, 1, 1).expand_as(masks)
        return torch.cat([masks.clamp(-LOGIT_LIMIT, LOGIT_LIMIT), there], dim=1)

    def get_dense_pe(self) -> Tensor:
        """Positions of a grid at stride 16, 1 x C x h/2 x w/2. The decoder makes its own."""
        stride_16 = self.label_embed.weight.new_zeros(1, 1, GRID // 2, GRID // 2)
        return self.dense_pe({NAMES[0]: stride_16}, LITE_SPEC.low_res_size)


class LiteMaskDecoder(LiteDecoder):
    """Reads what `LiteImageEncoder` and `LitePrompts` have made, whatever the size of the image."""

    num_mask_tokens: int = MASK_SLOTS
    num_multimask_outputs: int = MASK_SLOTS - 1
    _prompts: list[LitePrompts]  # in a list: its weights are those of the model's prompt encoder

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Logits B x C x m x m and predicted IoU B x C: of several masks, or of a single one."""
        masks, iou = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        return of_one_or_several(masks, iou, multimask_output)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoU of all masks, the single one first. Raises ValueError, see `unfolded`."""
        if sparse_prompt_embeddings.shape[-1] != 3:
            raise ValueError("sparse_prompt_embeddings: expected those of lite's own prompt encoder")
        maps = unfolded(image_embeddings)
        height, width = (4 * n for n in image_embeddings.shape[-2:])
        side = max(height, width)
        planes = dense_prompt_embeddings
        if planes.shape[-1] != side:
            planes = F.interpolate(planes, (side, side), mode="bilinear", align_corners=False)
        shown = planes[..., :height, :width]
        decoded = self.decode(maps, sparse_prompt_embeddings, shown[:, :1], shown[:, 1, 0, 0], side)
        masks = F.pad(decoded.low_res_masks_P4mm, (0, side - width, 0, side - height), value=OUTSIDE)
        return masks, decoded.iou_P4

    def decode(
        self, maps: dict[str, Tensor], columns_BN3: Tensor, masks: Tensor, has_mask: Tensor, side: int
    ) -> Decoded:
        """As the network itself does, `side`: m of the whole square."""
        (prompts,) = self._prompts
        points, labels = columns_BN3[..., :2].contiguous(), columns_BN3[..., 2].contiguous()
        sparse, at_strides = LitePromptEncoder.forward(prompts, points, labels, masks, has_mask, side)
        return LiteDecoder.forward(self, maps, prompts.dense_pe(maps, side), sparse, at_strides)


def published_parts(network: Lite) -> tuple[LiteImageEncoder, LitePrompts, LiteMaskDecoder]:
    """Image encoder, prompt encoder and mask decoder with the weights of a network."""
    prompts = adopted(LitePrompts, network.prompt_encoder)
    decoder = adopted(LiteMaskDecoder, network.mask_decoder, _prompts=[prompts])
    return adopted(LiteImageEncoder, network.image_encoder), prompts, decoder


def own_network(encoder: LiteImageEncoder, prompts: LitePrompts, decoder: LiteMaskDecoder) -> Lite:
    """The inverse of `published_parts`."""
    with torch.device("meta"):
        network = Lite()
    network.image_encoder = adopted(LiteEncoder, encoder)
    network.prompt_encoder = adopted(LitePromptEncoder, prompts)
    network.mask_decoder = adopted(LiteDecoder, decoder)
    return network.train(encoder.training)
