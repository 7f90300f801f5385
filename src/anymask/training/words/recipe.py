"""From photos with names to the files of the naming model.

    photos -> features of the frozen trunk (cached) -> regions, cells and whole photos -> heads -> files

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

from anymask.data.record import Record
from anymask.export.naming import NamingParts
from anymask.networks.naming import NamingNetwork, surroundings
from anymask.training.words.cache import imagenet_trunk, read_features
from anymask.training.words.examples import (
    COMPLETE,
    DUTS,
    NONE,
    UNLABELLED,
    Cells,
    Named,
    Regions,
    labelled_cells,
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
from anymask.training.words.photo_head import Photos, fit_photo_head, photos_of
from anymask.words.vocabulary import Vocabulary

SCALE, NONE_VECTORS, HEADS = 12.0, 12, 2
REGIONS, DENSE = Schedule(epochs=9, batch=512), Schedule(epochs=6, batch=1024)
WHOLE = Schedule(epochs=40, batch=64, learning_rate=4e-3)
DENSE_SOURCES = (COMPLETE, "food", "facade", "coco-person", DUTS)  # where cells can be told
FACTS = {
    "scale": SCALE, "dense_scale": SCALE, "class_scale": 12.0, "trained_instance": 0.25,
    "imagenet_instance": 0.2, "heat_over_region": 4.0, "heat_cut": 0.05, "like_threshold": 0.6,
    "name_threshold": 0.3, "trained_threshold": 0.2, "imagenet_threshold": 0.2,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Of all photos. `photos`: those where absent names are known. `semantic`: names of stuff."""

    regions: Regions
    components: Components
    cells: Cells
    photos: Photos
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
    """From the cached features of all photos."""
    found = regions_of(records, cache, duts)
    regions = replace(found, names_E=np.array([known_name(n, vocabulary) for n in found.names_E.tolist()]))
    components = principal_components(regions.masks_EF)
    named = [
        [(mask, known_name(name, vocabulary)) for mask, name in named_masks(record, duts)]
        for record in records
    ]
    cells = cells_of(records, named, cache, components)
    asked = [asked_names(record, vocabulary) for record in records]
    there = [[name for _, name in of_photo] for of_photo in named]
    photos = photos_of(records, asked, there)
    return Examples(regions, components, cells, photos, stuff_names(records, vocabulary))


def asked_names(record: Record, vocabulary: Vocabulary) -> list[str]:
    """The names whose absence is known, where they are those of many things."""
    told = record.fields["exhaustive_categories"] if record.source == COMPLETE else []
    return [known_name(name, vocabulary) for name in told]


def cells_of(
    records: Sequence[Record], named: Sequence[Sequence[Named]], cache: Path, components: Components
) -> Cells:
    """Some cells of every photo that can tell what they show."""
    rng, rows = np.random.default_rng(0), []
    for number, record in enumerate(records):
        if not named[number] or record.source not in DENSE_SOURCES:
            continue
        map_Fhw = read_features(cache, record.key)
        cells_hw = map_Fhw.shape[1], map_Fhw.shape[2]
        chosen, labels = labelled_cells(record, cells_hw, named[number], rng)
        own_1Chw = components(map_Fhw.flatten(1).T).T.unflatten(1, cells_hw)[None]
        near_1Chw, whole_1C11 = surroundings(own_1Chw)
        own, near = (one[0].flatten(1).T[chosen].half().numpy() for one in (own_1Chw, near_1Chw))
        whole = whole_1C11[0, :, 0].T.half().numpy().repeat(len(chosen), 0)
        rows.append((own, near, whole, labels, number))
    own_EC, near_EC, whole_EC = (np.concatenate([row[i] for row in rows]) for i in range(3))
    labels_E = np.array([label for row in rows for label in row[3]])
    photo_E = np.repeat([row[4] for row in rows], [len(row[3]) for row in rows])
    return Cells(own_EC, near_EC, whole_EC, labels_E, photo_E)


def known_name(name: str, vocabulary: Vocabulary) -> str:
    """As the vocabulary calls it; a name that it does not know stays."""
    row = None if name == NONE else vocabulary.row(name)
    return name if row is None else vocabulary.names[row]


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


def without(examples: Examples, photos: Sequence[int], names: Sequence[str]) -> Examples:
    """Some photos, by their numbers, and some names left out."""
    regions, cells = examples.regions, examples.cells
    kept = (
        ~np.isin(one.photo_E, list(photos)) & ~np.isin(one.names_E, list(names)) for one in (regions, cells)
    )
    return replace(
        examples,
        regions=regions.only(next(kept)),
        cells=cells.only(next(kept)),
        photos=examples.photos.without(photos, names),
    )


def names_to_learn(examples: Examples, vocabulary: Vocabulary) -> Names:
    """All names of the examples. Raises KeyError for one that the vocabulary lacks."""
    found = {*examples.regions.names_E.tolist(), *examples.cells.names_E.tolist()}
    names = sorted(found - {NONE, UNLABELLED})
    rows = [vocabulary.rows[name.lower()] for name in names]
    related = [vocabulary.related(row) for row in rows]
    competes = np.array([[other not in kin for other in rows] for kin in related])
    stuff = torch.tensor([name in examples.semantic for name in names])
    vectors = torch.from_numpy(vocabulary.vectors_WD[rows])
    return Names(tuple(names), vectors, torch.from_numpy(competes & competes.T), stuff)


def train_naming(examples: Examples, vocabulary: Vocabulary, seed: int = 0) -> NamingParts:
    """All heads, on one core in minutes."""
    names, components = names_to_learn(examples, vocabulary), examples.components
    options = (names, SCALE, NONE_VECTORS)
    head, none = fit_region_head(examples.regions, components, *options, replace(REGIONS, seed=seed))
    heads = [head]
    for other in range(1, HEADS):
        schedule = replace(REGIONS, seed=seed + other)
        heads.append(fit_region_head(examples.regions, components, names, SCALE, none, schedule)[0])
    dense, dense_none = fit_dense_head(examples.cells, *options, replace(DENSE, seed=seed))
    photo, biases = fit_photo_head(examples.photos, names, replace(WHOLE, seed=seed))
    network = NamingNetwork()
    network.trunk, network.dense, network.photo = imagenet_trunk(), dense, photo
    network.reduction.set_components(components.mean_F, components.components_FC)
    classes = torch.from_numpy(vocabulary.vectors_WD[vocabulary.imagenet_rows])
    kin = {name: related_names(names, row) for row, name in enumerate(names.names)}
    return NamingParts(
        network, heads, names.names, kin, names.vectors_ND, classes, none, dense_none, biases, dict(FACTS)
    )


def related_names(names: Names, row: int) -> list[str]:
    """The other names that do not compete with a name."""
    same = (~names.competes_NN[row]).nonzero().flatten().tolist()
    return [names.names[other] for other in same if other != row]
