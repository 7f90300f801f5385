"""ModelSpec: what the rest of the package must know about a network, and nothing of how it is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Family = Literal["sam", "mobile_sam", "lite"]
BOXES_READ = ("image_embeddings", "skip_8")  # of the embedding, by a box head


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The frame and the tensors of one model.

    `input_size`: side of the square model frame in pixels.
    `low_res_size`: side of the mask logits the decoder returns.
    `mean`, `std`: per channel, in 0..255 units; applied before the frame is padded with zeros.
    `pixel_offset`: added to model coordinates before they reach the network (-0.5 where the network itself
    moves pixel indices to pixel centres, as the published Segment Anything code does; 0 otherwise).
    """

    name: str
    family: Family
    input_size: int
    low_res_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixel_offset: float
    embedding_names: tuple[str, ...] = ("image_embeddings",)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ModelSpec:
        """Raises TypeError when a field is missing or unknown."""
        names = ("mean", "std", "embedding_names")
        tuples: dict[str, Any] = {name: tuple(fields[name]) for name in names if name in fields}
        return cls(**{**fields, **tuples})
