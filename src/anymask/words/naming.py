"""NamingModel: what kind of thing a region shows. NumPy and ONNX Runtime, no torch.

A photo is looked at once; regions are pooled from what was seen. Two scorers answer in the same space of word
vectors. "trained": a head that learned the names of `bank`. "imagenet": for any other word, the mean word
vector of the 1,000 ImageNet classes weighted by their probability (ConSE: Norouzi et al. 2014). They are
never mixed: on names it knows the head is better, on others it is worse than the classes alone.

Legend: R regions, W words, N names of the bank, D numbers of a word vector, C channels, K ImageNet classes,
h w cells of a feature map at stride 16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.backends.onnx_io import ENCODER_INPUT, NAMING_OUTPUTS
from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.core.resample import Floats, Pixels, normalise_and_pad
from anymask.core.spec import NAMING_MEAN, NAMING_MULTIPLE, NAMING_SIZE, NAMING_STD
from anymask.errors import BadOption, WeightsError, mapped
from anymask.hub.card import NAMING_PARTS, ModelFiles, check_files
from anymask.words.regions import box_weights, mask_weights, pooled

TRAINED, IMAGENET = "trained", "imagenet"
HEAD_TENSORS = tuple(
    f"{layer}.{kind}" for layer in ("enter", "middle", "leave") for kind in ("weight", "bias")
)
SAME_WORD = 0.98  # cosine above which a word is a name of the bank


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A word to look for. `vector_D`: of unit length. `related`: words that mean the same, more or less:
    names of the bank among them do not compete with it.
    """

    word: str
    vector_D: Floats
    related: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, eq=False)
class NamingFeatures:
    """What the trunk saw of one photo. `dense_Dhw`: unit vectors. `classes_Khw`: logits at stride 32.
    `photo_D`: all that it shows, not of unit length.
    """

    frame: ResizeLongest
    features_Chw: Floats
    dense_Dhw: Floats
    classes_Khw: Floats
    context_C: Floats
    photo_D: Floats

    @property
    def cells_hw(self) -> tuple[int, int]:
        height, width = self.features_Chw.shape[1:]
        return height, width


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of a photo beside the names of the bank. `powers_PN`: how much each name claims a cell,
    `none_P`: how much "none of them" does. P cells, row by row.
    """

    cells_hw: tuple[int, int]
    vectors_PD: Floats
    powers_PN: Floats
    none_P: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RegionVectors:
    """Regions in the space of words. `learned_RD`: the mean of the unit vectors of some heads, so that logits
    are the mean of theirs. `classes_RD`: by ConSE, unit vectors. `pooled_RC`: their features, to compare them
    with one another.
    """

    learned_RD: Floats
    classes_RD: Floats
    pooled_RC: Floats

    def __len__(self) -> int:
        return len(self.pooled_RC)

    def of(self, rows: ArrayLike) -> RegionVectors:
        index = np.asarray(rows, np.intp)
        return RegionVectors(self.learned_RD[index], self.classes_RD[index], self.pooled_RC[index])


@dataclass(frozen=True, slots=True, eq=False)
class NamingTable:
    """What `<stem>.names.safetensors` holds: the region head, the bank and the classes as word vectors.

    `names_N`: of the bank. `related`: to each name those it does not compete with. `facts`: constants that
    were calibrated with these weights.
    """

    tensors: Mapping[str, Floats]
    names_N: tuple[str, ...]
    related: Mapping[str, frozenset[str]]
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> NamingTable:
        """Raises WeightsError."""
        from safetensors import safe_open

        with mapped(Exception, WeightsError, f"cannot read {path}"), safe_open(str(path), "np") as file:
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            told = json.loads(file.metadata()["naming"])
            related = {name: frozenset(others) for name, others in told["related"].items()}
            return cls(tensors, tuple(told["names"]), related, told["facts"])

    def fact(self, name: str) -> float:
        """Raises WeightsError."""
        with mapped((KeyError, TypeError, ValueError), WeightsError, f"naming model without {name}"):
            return float(self.facts[name])


class NamingModel:
    """Runs `<stem>.names.onnx` and the head beside it. Safe to share between threads."""

    def __init__(self, graph: Path | None, table: Path | None, threads: int = 1) -> None:
        """Raises BadOption when the model has no such parts, WeightsError for damaged ones."""
        if graph is None or table is None:
            raise BadOption("words: this model has no <stem>.names.onnx; the default model, lite, has one")
        if ModelFiles.of(table).card.is_file():
            check_files(table, NAMING_PARTS)
        self.table = NamingTable.read(table)
        self._graph, self._threads = graph, threads

    @cached_property
    def _session(self) -> Any:
        from anymask.backends.onnx import open_session  # late: `import anymask` stays quick

        return open_session(self._graph, self._threads)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bank: those that the head has learned."""
        return self.table.names_N

    def look(self, pixels_HW3: Pixels) -> NamingFeatures:
        """See a photo: uint8, (H, W, 3)."""
        frame, image_13HW = network_input(pixels_HW3)
        maps = self._session.run(list(NAMING_OUTPUTS), {ENCODER_INPUT: image_13HW})
        features, dense, classes, photo = (one[0] for one in maps)
        context = features.mean((1, 2))[: self._context_channels]
        return NamingFeatures(frame, features, dense, classes, context, photo)

    @property
    def _context_channels(self) -> int:
        tensors = self.table.tensors
        return int(tensors["enter.weight"].shape[2]) - int(tensors["reduced"].item())

    def regions_of_masks(self, features: NamingFeatures, masks: Sequence[Mask]) -> RegionVectors:
        return self._regions(features, mask_weights(masks, features.frame, features.cells_hw))

    def regions_of_boxes(self, features: NamingFeatures, boxes_xyxy_R4: ArrayLike) -> RegionVectors:
        """Boxes in pixels of the image."""
        return self._regions(features, box_weights(boxes_xyxy_R4, features.frame, features.cells_hw))

    def _regions(self, features: NamingFeatures, weights_Rhw: Floats) -> RegionVectors:
        pooled_RC = pooled(weights_Rhw, features.features_Chw)
        count, (height, width) = len(weights_Rhw), features.classes_Khw.shape[1:]
        coarse_Rhw = weights_Rhw.reshape(count, height, 2, width, 2).mean((2, 4))
        logits_RK = pooled(coarse_Rhw, features.classes_Khw)
        return RegionVectors(
            self._learned(pooled_RC, features.context_C), self._by_classes(logits_RK), pooled_RC
        )

    def _learned(self, pooled_RC: Floats, context_C: Floats) -> Floats:
        tensors = self.table.tensors
        seen = np.concatenate([pooled_RC, np.tile(context_C, (len(pooled_RC), 1))], 1)
        heads = [
            self._of_head({name: tensors[name][head] for name in HEAD_TENSORS}, seen)
            for head in range(len(tensors["enter.bias"]))
        ]
        return np.asarray(np.mean(heads, 0), np.float32)

    @staticmethod
    def _of_head(head: Mapping[str, Floats], seen_RC: Floats) -> Floats:
        x = seen_RC
        for layer in ("enter", "middle"):
            x = np.maximum(x @ head[f"{layer}.weight"].T + head[f"{layer}.bias"], 0)
        return unit(x @ head["leave.weight"].T + head["leave.bias"])

    def _by_classes(self, logits_RK: Floats) -> Floats:
        powers = np.exp(logits_RK - logits_RK.max(1, keepdims=True, initial=-np.inf))
        return unit(powers / powers.sum(1, keepdims=True) @ self.table.tensors["class_vectors"])

    def scorer_of(self, query: Query) -> str:
        """Which of the two knows the word."""
        if query.word in self.names:
            return TRAINED
        cosines_N = self.table.tensors["bank_vectors"] @ query.vector_D
        return TRAINED if cosines_N.max(initial=-1.0) > SAME_WORD else IMAGENET

    def score_regions(self, regions: RegionVectors, query: Query) -> Floats:
        """(R,): how likely each region is called so, rather than any other name or none, 0..1."""
        if self.scorer_of(query) == TRAINED:
            return self._chance(regions.learned_RD, query, "none_vectors", self.table.fact("scale"))
        return self._chance(regions.classes_RD, query, None, self.table.fact("class_scale"))

    def cells(self, features: NamingFeatures) -> Cells:
        """What all words have in common, worked out once for a photo."""
        tensors, scale = self.table.tensors, self.table.fact("dense_scale")
        cells_PD = features.dense_Dhw.reshape(len(features.dense_Dhw), -1).T
        powers_PN = np.exp(scale * (cells_PD @ tensors["bank_vectors"].T - 1))
        none_P = np.exp(scale * (cells_PD @ tensors["dense_none_vectors"].T - 1)).sum(1)
        return Cells(features.cells_hw, cells_PD, powers_PN, none_P)

    def heat(self, cells: Cells, query: Query) -> Floats:
        """(h, w): how likely each cell shows it, 0..1. Zeros for a word that the heads have not learned."""
        if self.scorer_of(query) != TRAINED:
            return np.zeros(cells.cells_hw, np.float32)
        asked_P = np.exp(self.table.fact("dense_scale") * (cells.vectors_PD @ query.vector_D - 1))
        against_P = cells.powers_PN @ self.competitors(query).astype(np.float32) + cells.none_P
        return np.asarray(asked_P / (asked_P + against_P), np.float32).reshape(cells.cells_hw)

    def chance_in_photo(self, features: NamingFeatures, query: Query) -> float | None:
        """How likely the photo as a whole shows it, 0..1; None for a word that was not taught so."""
        bias = self.photo_bias(query)
        return None if bias is None else float(1 / (1 + np.exp(-(features.photo_D @ query.vector_D + bias))))

    def photo_bias(self, query: Query) -> float | None:
        """Of its chance to be in a photo; None for a word that was not taught so."""
        cosines_N = self.table.tensors["bank_vectors"] @ query.vector_D
        nearest = int(cosines_N.argmax())
        bias = float(self.table.tensors["photo_biases"][nearest])
        return None if cosines_N[nearest] <= SAME_WORD or np.isnan(bias) else bias

    def name_regions(self, regions: RegionVectors) -> tuple[Floats, Floats]:
        """(R, N) chances of the names of the bank, (R,) of none of them; a row sums to 1."""
        tensors, scale = self.table.tensors, self.table.fact("scale")
        named = np.exp(scale * (regions.learned_RD @ tensors["bank_vectors"].T - 1))
        none = np.exp(scale * (regions.learned_RD @ tensors["none_vectors"].T - 1)).sum(1)
        total = named.sum(1) + none
        return named / total[:, None], none / total

    def similarity(self, regions: RegionVectors, exemplar_C: Floats) -> Floats:
        """(R,): cosine of the features of each region with those of an exemplar, -1..1."""
        return np.asarray(unit(regions.pooled_RC) @ unit(exemplar_C), np.float32)

    def exemplar(self, features: NamingFeatures, mask: Mask) -> Floats:
        """(C,): the features of a mask, for `similarity`."""
        return np.asarray(self.regions_of_masks(features, [mask]).pooled_RC[0])

    def competitors(self, query: Query) -> NDArray[np.bool_]:
        """(N,): the names of the bank that mean something else."""
        related = query.related | self.table.related.get(query.word, frozenset()) | {query.word}
        same = self.table.tensors["bank_vectors"] @ query.vector_D > SAME_WORD
        return np.array([name not in related for name in self.names], bool) & ~same

    def _chance(self, vectors_PD: Floats, query: Query, none: str | None, scale: float) -> Floats:
        tensors = self.table.tensors
        others = [tensors["bank_vectors"][self.competitors(query)], *([tensors[none]] if none else [])]
        asked = np.exp(scale * (vectors_PD @ query.vector_D - 1))
        against = np.exp(scale * (vectors_PD @ np.concatenate(others).T - 1)).sum(1)
        return np.asarray(asked / (asked + against), np.float32)


def network_input(pixels_HW3: Pixels) -> tuple[ResizeLongest, Floats]:
    """The frame, and (1, 3, H, W): padded no further than to whole cells of stride 32."""
    frame = ResizeLongest((int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1])), NAMING_SIZE)
    height, width = (-(-side // NAMING_MULTIPLE) * NAMING_MULTIPLE for side in frame.size_hw_model)
    small = frame.resize_image(pixels_HW3)
    return frame, normalise_and_pad(small, NAMING_MEAN, NAMING_STD, (height, width))


def mean_exemplar(exemplars_EC: Sequence[ArrayLike]) -> Floats:
    """(C,): several exemplars as one for `NamingModel.similarity`; each counts alike, whatever its length."""
    return np.asarray(unit(np.asarray(exemplars_EC, np.float32)).mean(0), np.float32)


def unit(vectors: Floats) -> Floats:
    """Scaled to unit length along the last axis."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)
