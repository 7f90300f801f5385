"""`segment_anything.utils.onnx`: prompt encoder, decoder and upscaling as one graph.

Legend: N points, C masks, H W image pixels, h w embedding grid, m low-res mask size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.compat.modeling.sam import Sam
from anymask.compat.utils.amg import calculate_stability_score

FEW_POINTS = 2.5  # with fewer, padding included, the prompt is ambiguous


class SamOnnxModel(nn.Module):
    """To be exported, not called: the scripts of the published package say how.

    `return_single_mask`: only the best mask, in the published way. `use_stability_score`: it replaces the
    predicted IoU. `return_extra_metrics`: stability scores and areas of the masks besides.
    """

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool,
        use_stability_score: bool = False,
        return_extra_metrics: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.mask_decoder = model.mask_decoder
        self.img_size = model.image_encoder.img_size
        self.return_single_mask = return_single_mask
        self.use_stability_score = use_stability_score
        self.stability_score_offset = 1.0
        self.return_extra_metrics = return_extra_metrics

    @torch.no_grad()
    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> tuple[Tensor, ...]:
        """`point_coords` 1 x N x 2 in the model frame, with `point_labels` 1 x N: 1 inside, 0 outside, 2 and
        3 the corners of a box, -1 padding. `mask_input` 1 x 1 x m x m counts where `has_mask_input` is 1.
        `orig_im_size`: height and width.

        Returns masks 1 x C x H x W (logits), their scores 1 x C and low-resolution logits.
        """
        sparse = self._embed_points(point_coords, point_labels)
        dense = self._embed_masks(mask_input, has_mask_input)
        pe = self.model.prompt_encoder.get_dense_pe()
        low_res, scores = self.mask_decoder.predict_masks(image_embeddings, pe, sparse, dense)
        if self.use_stability_score:
            scores = self._stability(low_res)
        if self.return_single_mask:
            low_res, scores = self.select_masks(low_res, scores, point_coords.shape[1])
        masks = self.mask_postprocessing(low_res, orig_im_size)
        if not self.return_extra_metrics:
            return masks, scores, low_res
        areas = (masks > self.model.mask_threshold).flatten(-2).sum(-1)
        return masks, scores, self._stability(masks), areas, low_res

    def _stability(self, masks: Tensor) -> Tensor:
        return calculate_stability_score(masks, self.model.mask_threshold, self.stability_score_offset)

    def _embed_points(self, point_coords: Tensor, point_labels: Tensor) -> Tensor:
        if self.model.is_lite:
            columns: Tensor = self.model.prompt_encoder.columns(point_coords, point_labels)
            return columns
        embedded: Tensor = self.model.prompt_encoder.embed_points(point_coords, point_labels)
        return embedded

    def _embed_masks(self, input_mask: Tensor, has_mask_input: Tensor) -> Tensor:
        prompts = self.model.prompt_encoder
        if self.model.is_lite:
            planes: Tensor = prompts.mask_planes(input_mask, len(input_mask), has_mask_input)
            return planes
        embedded: Tensor = prompts.embed_masks(input_mask, has_mask_input)
        return embedded

    def select_masks(self, masks: Tensor, iou_preds: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
        """The single mask where there are points enough, else the best of the others. Without branches."""
        is_single = F.one_hot(torch.zeros(1, dtype=torch.int64), iou_preds.shape[1]).to(iou_preds)
        best = (iou_preds + 1000 * (num_points - FEW_POINTS) * is_single).argmax(dim=1)
        rows = torch.arange(masks.shape[0])
        return masks[rows, best].unsqueeze(1), iou_preds[rows, best].unsqueeze(1)

    @staticmethod
    def resize_longest_image_size(input_image_size: Tensor, longest_side: int) -> Tensor:
        """Height and width in the model frame."""
        size = input_image_size.to(torch.float32)
        longest = torch.maximum(size[0], size[1])  # not `max()`, which old operator sets write otherwise
        return (size * longest_side / longest + 0.5).floor().to(torch.int64)

    def mask_postprocessing(self, masks: Tensor, orig_im_size: Tensor) -> Tensor:
        """Low-resolution logits of the padded square to those of the image.

        The size of the image is an input of the graph. Only the count of rows and columns may depend on it,
        or exporters give up: so the padding is not cut off but left out of the weights.
        """
        side = self.img_size
        square = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
        shown = self.resize_longest_image_size(orig_im_size, side).to(square)
        rows_Hs, columns_Ws = (linear_weights(orig_im_size[axis], shown[axis], side) for axis in (0, 1))
        enlarged: Tensor = rows_Hs @ square @ columns_Ws.T
        return enlarged


def linear_weights(size: Tensor, shown: Tensor, side: int) -> Tensor:
    """n x `side`: linear interpolation of the first `shown` of `side` values to n = `size` ones."""
    n = size.to(torch.int64).item()
    torch._check(n > 0)  # for the exporter, which knows no sizes
    centres = (torch.arange(n, device=shown.device) + 0.5) * (shown / size) - 0.5
    at = torch.minimum(centres.clamp(min=0), shown - 1)
    return (1 - (at[:, None] - torch.arange(side, device=shown.device)).abs()).clamp(min=0)
