"""ModelSpec: what the rest of the package must know about a network, and nothing of how it is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal

Family = Literal["sam", "mobile_sam", "lite"]
BOXES_READ = ("image_embeddings", "skip_8")  # of the embedding, by a box head
EDGES_READ = ("image_embeddings", "skip_8", "skip_4", "skip_2")  # ... by an edge head
LEAST_PADDING = 16  # pixels beyond an image that does not fill its frame


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The frame and the tensors of one model.

    `input_size`: side of the square model frame in pixels.
    `low_res_size`: side of the mask logits the decoder returns.
    `mean`, `std`: per channel, in 0..255 units; applied before the frame is padded with zeros.
    `pixel_offset`: added to model coordinates before they reach the network (-0.5 where the network itself
    moves pixel indices to pixel centres, as the published Segment Anything code does; 0 otherwise).
    `frame_multiple`: the encoder takes any part of the square whose sides are multiples of this, and the
    decoder answers about the square all the same; 0 where it takes the whole square alone.
    """

    name: str
    family: Family
    input_size: int
    low_res_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixel_offset: float
    embedding_names: tuple[str, ...] = ("image_embeddings",)
    frame_multiple: int = 0

    def frame_hw(self, size_hw_model: tuple[int, int]) -> tuple[int, int]:
        """How much of the square the encoder is shown of an image that takes up `size_hw_model` of it."""
        if not self.frame_multiple:
            return self.input_size, self.input_size
        cells = (ceil((side + LEAST_PADDING) / self.frame_multiple) for side in size_hw_model)
        height, width = (min(n * self.frame_multiple, self.input_size) for n in cells)
        return height, width

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ModelSpec:
        """Raises TypeError when a field is missing or unknown."""
        names = ("mean", "std", "embedding_names")
        tuples: dict[str, Any] = {name: tuple(fields[name]) for name in names if name in fields}
        return cls(**{**fields, **tuples})


# What the naming model is shown, whatever model it is beside: pixels of a photo's longest side, what both
# sides are padded to a multiple of, and how they are normalised.
NAMING_SIZE, NAMING_MULTIPLE = 512, 32
NAMING_MEAN, NAMING_STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
