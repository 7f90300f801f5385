"""AutomaticSettings: what is proposed, which proposals are filtered, which duplicates go; and presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from anymask.errors import BadOption

Scoring = Literal["image", "low_res"]
Duplicates = Literal["box", "mask"]
RankBy = Literal["probability", "predicted_iou"]
CHOICES = {
    "scoring": ("image", "low_res"),
    "duplicates": ("box", "mask"),
    "rank_by": ("probability", "predicted_iou"),
}


@dataclass(frozen=True, slots=True)
class AutomaticSettings:
    """Everything the result depends on besides the model and the image.

    Proposals of a grid of points, with the names of the published generator:
    `points_per_side`: points along one side of the grid of the whole image, which has its square; 0: no grid.
    `crop_n_layers`: layers of crops that are searched too, layer i has 2^i x 2^i of them; 0: the image alone.
    `crop_overlap_ratio`: how far crops of layer 1 overlap, as a fraction of the image's short side; half of
    it for each layer more. `crop_n_points_downscale_factor`: points per side in layer i are divided by its
    i-th power. `point_offset_px`: pixels of the model frame added to grid points; the published code takes
    them as pixel indices, which is 0.5.

    Filters of the answers to points:
    `pred_iou_thresh`: the mask quality that the model predicts must be above it.
    `stability_score_thresh`: minimum stability score, 0..1: IoU of the mask cut at logits of plus and minus
    `stability_score_offset`. `max_area_fraction`: masks of this fraction of the image or more go (1: none).
    `crop_edge_px`: a mask no farther than this from an edge of its crop that is no edge of the image is cut
    off by it, and goes; the published code has 20.

    Duplicates and clean-up:
    `box_nms_thresh`: NMS threshold, the IoU above which the worse of two masks of one crop is a duplicate;
    `crop_nms_thresh`: the same between masks of different crops. `duplicates`: IoU of their boxes or of their
    pixels. `rank_by`: which is the worse, and the order of the result: by `probability`, or, as published, by
    predicted IoU and between crops by the size of the crop. `min_mask_region_area`: smaller islands and
    holes, in pixels, are removed. `scoring`: stability and boxes of the mask at the size of the image, or of
    its logits as they come.

    Beyond the published generator:
    `boxes`: at most so many boxes of a model that detects objects become prompts; they are looked for in the
    whole image and in every crop, and each is answered where it is shown largest. `box_score_thresh`: minimum
    score of a box; `box_pred_iou_thresh`, `box_stability_thresh`: filters of the answers to boxes.
    `refine`: masks that stay are drawn once more, each with itself as the prompt, in the crop that shows it
    largest, by models that refine (`Model.refines`). `min_probability`: masks less probable go, see
    `AutomaticMask.probability`.
    """

    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0
    max_area_fraction: float = 1.0
    crop_edge_px: float = 20.0
    scoring: Scoring = "image"
    duplicates: Duplicates = "box"
    rank_by: RankBy = "predicted_iou"
    boxes: int = 0
    box_score_thresh: float = 0.1
    box_pred_iou_thresh: float = 0.5
    box_stability_thresh: float = 0.5
    refine: bool = False
    min_probability: float = 0.0
    point_offset_px: float = 0.0

    def __post_init__(self) -> None:
        """Raises BadOption for a value that makes no sense."""
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise BadOption(f"{name}: expected {low:g} to {high:g}, got {value!r}")
            if name in WHOLE and value != int(value):
                raise BadOption(f"{name}: expected a whole number, got {value!r}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise BadOption(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not isinstance(self.refine, bool):
            raise BadOption(f"refine: expected true or false, got {self.refine!r}")
        if not self.points_per_side and not self.boxes:
            raise BadOption("points_per_side 0 without boxes: nothing would be asked; set one of them")

    def points_of_layer(self, layer: int) -> int:
        """Grid points per side in the crops of a layer; 0: they have no grid."""
        return int(self.points_per_side / self.crop_n_points_downscale_factor**layer)


LIMITS: dict[str, tuple[float, float]] = {
    "points_per_side": (0, 256),
    "pred_iou_thresh": (-1e9, 2),  # some networks predict above 1
    "stability_score_thresh": (0, 1),
    "stability_score_offset": (0, 100),
    "box_nms_thresh": (0, 1),
    "crop_n_layers": (0, 4),
    "crop_nms_thresh": (0, 1),
    "crop_overlap_ratio": (0, 0.9),
    "crop_n_points_downscale_factor": (1, 256),
    "min_mask_region_area": (0, 1e9),
    "max_area_fraction": (0.01, 1),
    "crop_edge_px": (0, 1000),
    "boxes": (0, 10_000),
    "box_score_thresh": (0, 1),
    "box_pred_iou_thresh": (-1e9, 2),
    "box_stability_thresh": (0, 1),
    "min_probability": (0, 1),
    "point_offset_px": (0, 1),
}

# "int", because annotations are strings here
WHOLE = {field.name for field in fields(AutomaticSettings) if field.type == "int"}

DEFAULT = AutomaticSettings(
    pred_iou_thresh=0.8,
    stability_score_thresh=0.8,
    scoring="low_res",
    duplicates="mask",
    rank_by="probability",
    min_mask_region_area=100,
    max_area_fraction=0.95,
    crop_edge_px=2,
    boxes=100,
    refine=True,
)
PRESETS: dict[str, AutomaticSettings] = {
    # everything the model can tell apart, most probable first; the threshold is the caller's choice
    "default": DEFAULT,
    # few masks, mostly right: those more likely right than wrong
    "precise": replace(DEFAULT, pred_iou_thresh=0.88, stability_score_thresh=0.95, min_probability=0.5),
    # how SA-1B was made (paper, Appendix B); thresholds for models of the SAM family
    "sa1b": AutomaticSettings(
        crop_n_layers=2, crop_n_points_downscale_factor=2, min_mask_region_area=100, max_area_fraction=0.95
    ),
    # the published library's defaults; thresholds for models of the SAM family
    "sam_default": AutomaticSettings(point_offset_px=0.5),
}


def settings_of(
    preset: str = "default", calibrated: Mapping[str, Any] | None = None, **changes: Any
) -> AutomaticSettings:
    """A preset with changes. `calibrated`: what a model's card says for each preset. Raises BadOption."""
    if preset not in PRESETS:
        raise BadOption(f"unknown preset {preset!r}: expected one of {', '.join(PRESETS)}")
    known = {field.name for field in fields(AutomaticSettings)}
    if unknown := sorted(set(changes) - known):
        raise BadOption(f"unknown setting {unknown[0]!r}: expected one of {', '.join(sorted(known))}")
    card = {name: value for name, value in (calibrated or {}).get(preset, {}).items() if name in known}
    return replace(PRESETS[preset], **{**card, **changes})
