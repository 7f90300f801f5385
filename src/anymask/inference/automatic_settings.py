"""AutomaticSettings: how the grid of automatic masks is laid and which answers are kept. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from anymask.errors import BadOption

Scoring = Literal["image", "low_res"]
Duplicates = Literal["box", "mask"]
Grid = Literal["full", "small"]
CHOICES = {"scoring": ("image", "low_res"), "duplicates": ("box", "mask"), "grid": ("full", "small")}


@dataclass(frozen=True, slots=True)
class AutomaticSettings:
    """Everything the result depends on besides the model and the image.

    The first names and meanings are those of the published generator:
    `points_per_side`: the grid has its square; 0: no grid, `boxes` alone. `pred_iou_thresh`: predicted IoU
    must be above it.
    `stability_score_thresh`, `stability_score_offset`: IoU of the mask at logits of plus and minus the
    offset must reach it. `box_nms_thresh`: of two masks whose boxes (or pixels, see `duplicates`) have a
    larger IoU the better predicted one stays. `crop_n_layers`: layers of zoomed-in crops; `crop_nms_thresh`
    the same between masks of different crops, zoomed-in ones first; `crop_overlap_ratio` of the short side;
    `crop_n_points_downscale_factor`: each layer's grid is coarser by it. `min_mask_region_area`: smaller
    islands and holes, in pixels, are cleaned. `max_area_share`: masks of this share of the image or more
    are dropped (1: none).

    `scoring`: stability and boxes of the mask at the size of the image, or of the logits as they come.
    `duplicates`: compared by their boxes or by their pixels.
    `skip_covered`: grid points inside this many different masks are not asked; 0: every point is.
    `grid`: who answers the grid: the model itself (`full`), or its `small` twin where it has one. What the
    twin finds is answered again by the model, point and mask together, and must pass the filters above.
    `small_pred_iou_thresh`, `small_stability_thresh`: filters of the twin's answers; `small_keep`: at most
    this many of them, the best predicted, are answered again.
    `boxes`: where the model finds boxes of things, at most so many are asked for their masks too;
    `box_score_thresh`: what their score must reach; `box_pred_iou_thresh`, `box_stability_thresh`: filters
    of their masks.
    `second_look`: masks that are kept are drawn again from closer, if the model is one that looks twice
    (`Model.zooms`) and has the photo, not its embedding alone; scores stay those of the first look.
    `point_shift`: pixels of the model frame added to grid points; the published code takes them as pixel
    indices, which is 0.5.
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
    max_area_share: float = 1.0
    scoring: Scoring = "image"
    duplicates: Duplicates = "box"
    skip_covered: int = 0
    grid: Grid = "full"
    small_pred_iou_thresh: float = 0.25
    small_stability_thresh: float = 0.0
    small_keep: int = 100
    boxes: int = 0
    box_score_thresh: float = 0.2
    box_pred_iou_thresh: float = 0.5
    box_stability_thresh: float = 0.5
    second_look: bool = False
    point_shift: float = 0.0

    def __post_init__(self) -> None:
        """Raises BadOption for a value that makes no sense."""
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise BadOption(f"{name}: expected {least:g} to {most:g}, got {value!r}")
            if name in WHOLE and value != int(value):
                raise BadOption(f"{name}: expected a whole number, got {value!r}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise BadOption(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not isinstance(self.second_look, bool):
            raise BadOption(f"second_look: expected true or false, got {self.second_look!r}")
        if not self.points_per_side and not self.boxes:
            raise BadOption("points_per_side 0 without boxes: nothing would be asked; set one of them")

    def points_of_layer(self, layer: int) -> int:
        """Grid points per side in the crops of a layer, at least one where there is a grid."""
        fewer = int(self.points_per_side / self.crop_n_points_downscale_factor**layer)
        return max(min(1, self.points_per_side), fewer)


LIMITS: dict[str, tuple[float, float]] = {
    "points_per_side": (0, 256),
    "pred_iou_thresh": (-1e9, 1e9),  # some networks predict above 1
    "stability_score_thresh": (0, 1),
    "stability_score_offset": (0, 100),
    "box_nms_thresh": (0, 1),
    "crop_n_layers": (0, 4),
    "crop_nms_thresh": (0, 1),
    "crop_overlap_ratio": (0, 0.9),
    "crop_n_points_downscale_factor": (1, 16),
    "min_mask_region_area": (0, 1e9),
    "max_area_share": (0.01, 1),
    "skip_covered": (0, 1000),
    "small_pred_iou_thresh": (-1e9, 1e9),
    "small_stability_thresh": (0, 1),
    "small_keep": (1, 100_000),
    "boxes": (0, 10_000),
    "box_score_thresh": (0, 1),
    "box_pred_iou_thresh": (-1e9, 1e9),
    "box_stability_thresh": (0, 1),
    "point_shift": (0, 1),
}

# "int", because annotations are strings here
WHOLE = {field.name for field in fields(AutomaticSettings) if field.type == "int"}

QUICK = AutomaticSettings(
    scoring="low_res",
    duplicates="mask",
    min_mask_region_area=100,
    max_area_share=0.95,
    skip_covered=3,
    grid="small",
    boxes=60,
)
PRESETS: dict[str, AutomaticSettings] = {
    # decided at low resolution, the grid asked by the small twin of a model that has one, and the boxes of
    # one that finds them: few masks, most of them right where thresholds are calibrated
    "fast": QUICK,
    # the same with lower thresholds, drawn again from closer: many masks, for people to choose from
    "wide": replace(
        QUICK,
        pred_iou_thresh=0.8,
        stability_score_thresh=0.8,
        box_score_thresh=0.15,
        boxes=100,
        second_look=True,
    ),
    # how SA-1B was made (Appendix B)
    "paper": AutomaticSettings(
        crop_n_layers=2, crop_n_points_downscale_factor=2, min_mask_region_area=100, max_area_share=0.95
    ),
    # the published library's defaults
    "reference": AutomaticSettings(point_shift=0.5),
}


def settings_of(
    preset: str = "fast", calibrated: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any
) -> AutomaticSettings:
    """A preset with changes. `calibrated`: what a model's card says for each preset. Raises BadOption."""
    if preset not in PRESETS:
        raise BadOption(f"unknown preset {preset!r}: expected one of {', '.join(PRESETS)}")
    known = {field.name for field in fields(AutomaticSettings)}
    if unknown := sorted(set(changes) - known):
        raise BadOption(f"unknown setting {unknown[0]!r}: expected one of {', '.join(sorted(known))}")
    card = {name: value for name, value in (calibrated or {}).get(preset, {}).items() if name in known}
    return replace(PRESETS[preset], **{**card, **changes})
