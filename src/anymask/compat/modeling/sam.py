"""`segment_anything.modeling.sam`: an image encoder, a prompt encoder and a mask decoder as one model.

Legend: B prompts, C masks of a prompt, H W image pixels, m low-res mask size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.compat.modeling.image_encoder import ImageEncoderViT
from anymask.compat.modeling.lite import LiteImageEncoder, LiteMaskDecoder, LitePrompts
from anymask.compat.modeling.lite import own_network as own_lite
from anymask.compat.modeling.lite import published_parts as parts_of_lite
from anymask.compat.modeling.mask_decoder import MaskDecoder
from anymask.compat.modeling.prompt_encoder import PromptEncoder
from anymask.core.spec import ModelSpec
from anymask.networks import sam as own
from anymask.networks.lite import Lite
from anymask.networks.presets import SAM_SPEC, build
from anymask.networks.segmenter import Decoded, Segmenter
from anymask.networks.vit import ViT

SizeHW = tuple[int, int]


class Sam(nn.Module):
    """The published model; its parts may be those of `anymask.compat.modeling` or any others with the same
    calls.

    `stands_in_for`: the network that was asked for where lite, without a checkpoint, took its place. It
    becomes that network as soon as `load_state_dict` is given its weights. `card`: what is known about the
    weights beside them, if anything is.
    """

    mask_threshold: float = 0.0
    image_format: str = "RGB"
    stands_in_for: str = ""
    card: Path | None = None
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: nn.Module,
        mask_decoder: nn.Module,
        pixel_mean: Sequence[float] = SAM_SPEC.mean,
        pixel_std: Sequence[float] = SAM_SPEC.std,
    ) -> None:
        super().__init__()
        self.image_encoder: Any = image_encoder
        self.prompt_encoder: Any = prompt_encoder
        self.mask_decoder: Any = mask_decoder
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values).float().view(-1, 1, 1), persistent=False)

    @classmethod
    def of(cls, network: Segmenter) -> Sam:
        """A network of this package, with the same weights."""
        if isinstance(network, Lite):
            model = cls(*parts_of_lite(network), network.spec.mean, network.spec.std)
        else:
            assert isinstance(network, own.Sam)
            encoder: Any = network.image_encoder
            spec = network.spec
            encoder = ImageEncoderViT.of(encoder) if isinstance(encoder, ViT) else encoder
            encoder.img_size = spec.input_size
            prompts, decoder = PromptEncoder.of(network.prompt_encoder), MaskDecoder.of(network.mask_decoder)
            model = cls(encoder, prompts, decoder, spec.mean, spec.std)
        return model.train(network.training)

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    @property
    def is_lite(self) -> bool:
        return isinstance(self.mask_decoder, LiteMaskDecoder)

    @property
    def network(self) -> Segmenter | None:
        """The same weights as a network of this package; None where a part is of another make."""
        kinds = [type(part) for part in (self.image_encoder, self.prompt_encoder, self.mask_decoder)]
        if type(self) is not Sam:
            return None
        if kinds == [LiteImageEncoder, LitePrompts, LiteMaskDecoder]:
            return own_lite(self.image_encoder, self.prompt_encoder, self.mask_decoder)
        return PublishedNetwork(self) if kinds[1:] == [PromptEncoder, MaskDecoder] else None

    @torch.no_grad()
    def forward(
        self, batched_input: Sequence[Mapping[str, Any]], multimask_output: bool
    ) -> list[dict[str, Tensor]]:
        """For each image with its prompts: `masks` B x C x H x W bool, `iou_predictions`, `low_res_logits`.

        Keys: `image` (3 x h x w in the model frame, 0..255), `original_size`, and as in `predict_torch`
        `point_coords`, `point_labels`, `boxes`, `mask_inputs`.
        """
        return [self._answer(record, multimask_output) for record in batched_input]

    def _answer(self, record: Mapping[str, Any], multimask_output: bool) -> dict[str, Tensor]:
        image = record["image"]
        features = self.image_encoder(self.preprocess(image)[None])
        points = (record["point_coords"], record["point_labels"]) if "point_coords" in record else None
        low_res, iou = self.decode(
            features, points, record.get("boxes"), record.get("mask_inputs"), multimask_output
        )
        logits = self.postprocess_masks(low_res, tuple(image.shape[-2:]), record["original_size"])
        return {"masks": logits > self.mask_threshold, "iou_predictions": iou, "low_res_logits": low_res}

    def decode(
        self,
        features: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Low-resolution logits B x C x m x m and predicted IoU B x C."""
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
        low_res, iou = self.mask_decoder(
            image_embeddings=features,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
        )
        return low_res, iou

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalise (... x 3 x h x w, 0..255) and pad to the square of the model."""
        side = self.image_encoder.img_size
        height, width = x.shape[-2:]
        return F.pad((x - self.pixel_mean) / self.pixel_std, (0, side - width, 0, side - height))

    def postprocess_masks(self, masks: Tensor, input_size: SizeHW, original_size: SizeHW) -> Tensor:
        """Logits B x C x m x m of the padded square to B x C x H x W: enlarged, cut, resized."""
        side = self.image_encoder.img_size
        square = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
        cut = square[..., : input_size[0], : input_size[1]]
        return F.interpolate(cut, tuple(original_size), mode="bilinear", align_corners=False)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As every module's; where lite stands in for another network, that one takes its place first."""
        is_lite = any(name.startswith("image_encoder.trunk.") for name in state_dict)
        if self.stands_in_for and state_dict and not is_lite:
            asked_for = Sam.of(build(self.stands_in_for)).to(self.device).train(self.training)
            vars(self).update(vars(asked_for))
            self.stands_in_for, self.card = "", None
        return super().load_state_dict(state_dict, strict, assign)


class PublishedNetwork(nn.Module):
    """The parts of a `Sam` behind the interface of the networks here (`Segmenter`)."""

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.model = model
        prompts = model.prompt_encoder
        mean, std = (tuple(values.flatten().tolist()) for values in (model.pixel_mean, model.pixel_std))
        self.spec = ModelSpec(
            SAM_SPEC.name,
            SAM_SPEC.family,
            model.image_encoder.img_size,
            prompts.mask_input_size[0],
            mean,
            std,
            SAM_SPEC.pixel_offset,
        )

    def encode_image(self, pixels_B3hw: Tensor) -> dict[str, Tensor]:
        return {"image_embeddings": self.model.image_encoder(pixels_B3hw)}

    def decode(
        self,
        embedding: dict[str, Tensor],
        points_PN2: Tensor,
        labels_PN: Tensor,
        masks_P1mm: Tensor | None = None,
        has_mask_P: Tensor | None = None,
    ) -> Decoded:
        prompts = self.model.prompt_encoder
        if masks_P1mm is None or has_mask_P is None:
            dense = prompts.no_mask(1)
        else:
            dense = prompts.embed_masks(masks_P1mm, has_mask_P)
        sparse = prompts.embed_points(points_PN2, labels_PN)
        image, pe = embedding["image_embeddings"], prompts.get_dense_pe()
        masks, iou = self.model.mask_decoder.predict_masks(image, pe, sparse, dense)
        return Decoded(masks, iou, None)
