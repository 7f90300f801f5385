"""Train the naming model: names for masks, words as prompts. One core, minutes once features are cached.

    python recipes/words.py DATA OUT --model src/anymask/weights/lite.json

DATA: the folder with train/train-*.tar, train/duts-*.tar and train/duts_names.json. OUT: folder of the run;
what is cached there is not worked out again. With --model the files are written beside that model, else
beside a copy of lite in OUT. `--without FILE`: names (a JSON list) that are not learned, to measure them.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import anymask
from anymask.cli.reporting import progress_line
from anymask.data.record import Record
from anymask.data.sources import open_records
from anymask.evaluation.words_under_test import WordsUnderTest
from anymask.export.naming import export_naming
from anymask.hub.catalog import find_model
from anymask.training.words.cache import cache_features, cache_proposals
from anymask.training.words.examples import DUTS, duts_names
from anymask.training.words.recipe import examples_of, known_name, train_naming, vocabulary_names, without
from anymask.words.naming import NamingTable
from anymask.words.query import query_of
from anymask.words.vocabulary import default_vocabulary

NAMED = ("coco", "food", "facade", "coco-person", "ccp")
PROPOSED = ("coco",)  # where a box without a name shows none
AT_MOST = {"ccp": 210}  # photos of a source that are used
HELD_OUT, HELD_OUT_SEED = 60, 5  # photos of coco for the thresholds
FALSE_POSITIVES = 0.05  # of absent words that come through


def training_records(data: Path, duts: dict[str, Any]) -> list[Record]:
    """Photos with names, in the order of their files."""
    shards = sorted((data / "train").glob("train-*.tar")) + sorted((data / "train").glob("duts-*.tar"))
    left, chosen = dict(AT_MOST), list[Record]()
    for record in open_records(*shards):
        known = record.key.removeprefix(f"{DUTS}_").split("-")[0] in duts
        if record.source in NAMED and left.get(record.source, 1) > 0:
            left[record.source] = left.get(record.source, 1 << 30) - 1
            chosen.append(record)
        elif record.source == DUTS and known:
            chosen.append(record)
    return chosen


def calibration_photos(records: list[Record]) -> list[int]:
    """Numbers of the photos that do not train."""
    keys = sorted(record.key for record in records if record.source == "coco")
    order = np.random.default_rng(HELD_OUT_SEED).permutation(len(keys))[:HELD_OUT]
    chosen = {keys[i] for i in order}
    return [number for number, record in enumerate(records) if record.key in chosen]


def calibrated(card: Path, records: list[Record]) -> dict[str, float]:
    """Thresholds of presence on photos that did not train: one in twenty absent words comes through."""
    tested = WordsUnderTest(anymask.load(str(card)))
    learned, unlearned = (presences(tested, records, forget) for forget in (False, True))
    return {
        "trained_threshold": round(float(np.quantile(learned, 1 - FALSE_POSITIVES)), 4),
        "imagenet_threshold": round(float(np.quantile(unlearned, 1 - FALSE_POSITIVES)), 4),
    }


def presences(tested: WordsUnderTest, records: list[Record], forget: bool) -> list[float]:
    """Of all absent names. `forget`: each as if the heads had never learned it."""
    found, namer = list[float](), tested.namer
    whole = namer.table
    for record in records:
        photo = tested.encode(record.read_pixels())
        there = {one.category for one in record.annotations}
        for name in sorted(set(record.fields["exhaustive_categories"]) - there):
            query = query_of(name, photo.vocabulary)
            namer.table = without_name(whole, query.word) if forget else whole
            found.append(photo.search.find(query).presence)
    namer.table = whole
    return found


def without_name(table: NamingTable, name: str) -> NamingTable:
    """The bank without one name."""
    kept = [row for row, known in enumerate(table.names_N) if known != name]
    bank = {"bank_vectors": table.tensors["bank_vectors"][kept]}
    names = tuple(table.names_N[row] for row in kept)
    return replace(table, names_N=names, tensors={**table.tensors, **bank})


def copied_model(folder: Path) -> Path:
    """The card of a copy of lite."""
    for path in find_model("lite").parent.glob("lite.*"):
        shutil.copy(path, folder)
    return folder / "lite.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, help="card of the model that gets the files")
    parser.add_argument("--without", type=Path, help="JSON list of names that are not learned")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    vocabulary, model = default_vocabulary(), anymask.load(str(options.model or "lite"))
    duts = vocabulary_names(duts_names(options.data / "train" / "duts_names.json"), vocabulary)
    records, cache = training_records(options.data, duts), options.out / "cache"
    cache_features(records, cache, progress_line)
    cache_proposals([r for r in records if r.source in PROPOSED], cache, model, progress_line)
    held_out = calibration_photos(records)
    left_out = json.loads(options.without.read_text("utf-8")) if options.without else []
    examples = without(
        examples_of(records, cache, duts, vocabulary),
        held_out,
        [known_name(name, vocabulary) for name in left_out],
    )
    parts = train_naming(examples, vocabulary)
    card = options.model or copied_model(options.out)
    training = {"recipe": "recipes/words.py", "photos": len(records), "left_out": left_out}
    export_naming(parts, card, training)
    facts = calibrated(card, [records[i] for i in held_out])
    print(json.dumps(facts, indent=1))
    export_naming(replace(parts, facts={**parts.facts, **facts}), card, {**training, "calibrated": facts})


if __name__ == "__main__":
    main()
