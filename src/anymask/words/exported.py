"""Words for programs without Python: a graph that scores by them, and a table of them in English and Korean.

`<stem>.words.onnx` is asked beside `<stem>.names.onnx`; `<stem>.words.json` has the words with what else they
are called, `<stem>.words.safetensors` their vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from anymask.core.spec import NAMING_MEAN, NAMING_MULTIPLE, NAMING_SIZE, NAMING_STD
from anymask.errors import WeightsError
from anymask.files import write_atomically
from anymask.hub.card import ModelFiles
from anymask.words import korean
from anymask.words.naming import NamingModel
from anymask.words.query import searched_query
from anymask.words.regions import STRIDE
from anymask.words.vocabulary import Vocabulary


def export_words(card: Path, vocabulary: Vocabulary) -> Path:
    """Write the three files beside the exported model of `card`; returns the graph's path.

    Raises WeightsError for a model without names, Failure when the graph differs from the network,
    StorageError.
    """
    from anymask.export.words import export_words_graph  # torch: late

    files = ModelFiles.of(card)
    if not (files.names.is_file() and files.names_table.is_file()):
        raise WeightsError(
            f"{card}: there is no {files.names.name} beside it; lite, the default model, has one"
        )
    namer = NamingModel(files.names, files.names_table)
    path = files.card.with_suffix(".words.onnx")
    export_words_graph(namer.table.tensors, namer.table.facts, path)
    told = {
        "frame": {"size": NAMING_SIZE, "multiple": NAMING_MULTIPLE, "stride": STRIDE},
        "mean": NAMING_MEAN,
        "std": NAMING_STD,
        "facts": dict(namer.table.facts),
        "names": namer.names,
        "words": list(words_told(namer, vocabulary)),
    }
    content = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    write_atomically(path.with_suffix(".json"), content.encode())
    vectors = save({"vectors": vocabulary.vectors_WD.astype(np.float16)})
    write_atomically(path.with_suffix(".safetensors"), vectors)
    return path


def words_told(namer: NamingModel, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """Of each row: what it is called, how it is searched, which names of the bank are no rivals of it."""
    spoken: dict[str, list[str]] = {}
    for noun, entry in korean.entries().items():
        spoken.setdefault(entry.name.lower(), []).append(noun)
    for row, name in enumerate(vocabulary.names):
        query = searched_query(row, vocabulary, namer)
        also = [alias for alias in vocabulary.aliases[row] if alias[0] != "~"]
        yield {
            "word": name,
            "also": also + spoken.get(name.lower(), []),
            "searched": vocabulary.rows[query.word.lower()],
            "scorer": namer.scorer_of(query),
            "no_rivals": np.flatnonzero(~namer.competitors(query)).tolist(),
            "photo_bias": namer.photo_bias(query),
        }
