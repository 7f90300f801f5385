"""From photos with names to the files of the naming model.

    photos -> features of the frozen trunk (cached) -> regions and dense examples -> both heads -> files

Photos of `calibration` neither train nor validate: thresholds are set on them.
Legend: F features, C components, h w cells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymask.data.record import Record
from anymask.export.naming import NamingParts
from anymask.networks.naming import NamingNetwork
from anymask.training.words.cache import imagenet_trunk, read_features
from anymask.training.words.examples import (
    DUTS,
    NONE,
    DenseExample,
    Regions,
    dense_example,
    named_masks,
    regions_of,
)
from anymask.training.words.fit import (
    Components,
    Names,
    Schedule,
    fit_dense_head,
    fit_region_head,
    principal_components,
)
from anymask.words.vocabulary import Vocabulary

SCALE, NONE_VECTORS = 12.0, 12
REGIONS, DENSE = Schedule(epochs=9, batch=512), Schedule(epochs=6, batch=8)
DENSE_SOURCES = ("coco", "food", "facade", "balloon", "aerial-roofs", DUTS)  # where cells can be told
DUTS_SHARE = 3  # one in so many DUTS photos trains the dense head
FACTS = {
    "scale": SCALE, "dense_scale": SCALE, "class_scale": 12.0, "trained_instance": 0.25,
    "imagenet_instance": 0.2, "heat_over_region": 4.0, "heat_cut": 0.05, "like_threshold": 0.6,
    "name_threshold": 0.4, "trained_threshold": 0.2, "imagenet_threshold": 0.2,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Of all photos. `reduced`: (C, h, w) in half precision, by the key of the photo. `semantic`: names of
    stuff.
    """

    regions: Regions
    components: Components
    reduced: Mapping[str, Tensor]
    dense: Sequence[DenseExample]
    semantic: frozenset[str]


def vocabulary_names(
    duts: Mapping[str, dict[str, object]], vocabulary: Vocabulary
) -> dict[str, dict[str, object]]:
    """The DUTS table with the names that the vocabulary has for its synsets."""
    rows = {synset: vocabulary.row_of_sense(synset) for synset in duts}
    return {
        synset: facts if rows[synset] is None else {**facts, "name": vocabulary.names[rows[synset] or 0]}
        for synset, facts in duts.items()
    }


def examples_of(
    records: Sequence[Record], cache: Path, duts: Mapping[str, Mapping[str, object]], vocabulary: Vocabulary
) -> Examples:
    """Read the cached features of all photos that have some."""
    records = [record for record in records if (cache / f"{record.key}.npz").is_file()]
    found = regions_of(records, cache, duts)
    regions = replace(found, names_E=np.array([known_name(n, vocabulary) for n in found.names_E.tolist()]))
    components = principal_components(regions.masks_EF)
    reduced: dict[str, Tensor] = {}
    dense: list[DenseExample] = []
    for record in records:
        named = [(mask, known_name(name, vocabulary)) for mask, name in named_masks(record, duts)]
        if named and trains_dense(record):
            map_Fhw = read_features(cache, record.key)
            cells_hw = map_Fhw.shape[1], map_Fhw.shape[2]
            small = components(map_Fhw.flatten(1).T).T
            reduced[record.key] = small.unflatten(1, cells_hw).half()
            dense.append(dense_example(record, cells_hw, named))
    return Examples(regions, components, reduced, dense, stuff_names(records, vocabulary))


def known_name(name: str, vocabulary: Vocabulary) -> str:
    """As the vocabulary calls it; a name that it does not know stays."""
    row = None if name == NONE else vocabulary.row(name)
    return name if row is None else vocabulary.names[row]


def trains_dense(record: Record) -> bool:
    if record.source == DUTS:
        return sum(record.key.encode()) % DUTS_SHARE == 0
    return record.source in DENSE_SOURCES


def stuff_names(records: Sequence[Record], vocabulary: Vocabulary) -> frozenset[str]:
    """Names whose masks join several pieces more often than not, in photos where stuff is annotated."""
    joined, count = Counter[str](), Counter[str]()
    for record in records:
        for one in record.annotations:
            if one.category:
                name = known_name(one.category, vocabulary)
                count[name] += 1
                joined[name] += one.semantic and record.source == "coco"
    return frozenset(name for name in count if 2 * joined[name] > count[name])


def without(examples: Examples, photos: Sequence[int], keys: Sequence[str], names: Sequence[str]) -> Examples:
    """Some photos (their numbers and keys) and some names left out."""
    regions = examples.regions
    kept_E = ~np.isin(regions.photo_E, list(photos)) & ~np.isin(regions.names_E, list(names))
    dense = [_unnamed(example, names) for example in examples.dense if example.key not in keys]
    return replace(examples, regions=regions.only(kept_E), dense=dense)


def _unnamed(example: DenseExample, names: Sequence[str]) -> DenseExample:
    """Cells of those names say nothing."""
    kept = [row for row, name in enumerate(example.names) if name not in names]
    if len(kept) == len(example.names):
        return example
    return replace(
        example, names=tuple(example.names[row] for row in kept), shares_nhw=example.shares_nhw[kept]
    )


def names_to_learn(examples: Examples, vocabulary: Vocabulary) -> Names:
    """All names of the examples. Raises KeyError for one that the vocabulary lacks."""
    names = sorted(
        {*examples.regions.names_E.tolist(), *(n for e in examples.dense for n in e.names)} - {NONE}
    )
    rows = [vocabulary.rows[name.lower()] for name in names]
    related = [vocabulary.related(row) for row in rows]
    competes = np.array([[other not in kin for other in rows] for kin in related])
    stuff = torch.tensor([name in examples.semantic for name in names])
    vectors = torch.from_numpy(vocabulary.vectors_WD[rows])
    return Names(tuple(names), vectors, torch.from_numpy(competes), stuff)


def train_naming(examples: Examples, vocabulary: Vocabulary, seed: int = 0) -> NamingParts:
    """Both heads, on one core in minutes."""
    names = names_to_learn(examples, vocabulary)
    regions, components = examples.regions, examples.components
    schedules = replace(REGIONS, seed=seed), replace(DENSE, seed=seed)
    head, none = fit_region_head(regions, components, names, SCALE, NONE_VECTORS, schedules[0])
    dense, dense_none = fit_dense_head(
        examples.dense, lambda key: examples.reduced[key].float(), names, SCALE, NONE_VECTORS, schedules[1]
    )
    network = NamingNetwork()
    network.trunk, network.dense = imagenet_trunk(), dense
    network.reduction.set_components(components.mean_F, components.components_FC)
    classes = torch.from_numpy(vocabulary.vectors_WD[vocabulary.imagenet_rows])
    kin = {name: related_names(names, row) for row, name in enumerate(names.names)}
    return NamingParts(
        network, head, names.names, kin, names.vectors_ND, classes, none, dense_none, dict(FACTS)
    )


def related_names(names: Names, row: int) -> list[str]:
    """The other names that do not compete with a name."""
    same = (~names.competes_NN[row]).nonzero().flatten().tolist()
    return [names.names[other] for other in same if other != row]
