"""`segment_anything.modeling`: the published classes of the networks."""

from anymask.compat.modeling.image_encoder import ImageEncoderViT
from anymask.compat.modeling.mask_decoder import MaskDecoder
from anymask.compat.modeling.prompt_encoder import PromptEncoder
from anymask.compat.modeling.sam import Sam
from anymask.compat.modeling.transformer import TwoWayTransformer

__all__ = ["ImageEncoderViT", "MaskDecoder", "PromptEncoder", "Sam", "TwoWayTransformer"]
