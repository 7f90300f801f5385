"""Where the files of a model are, and its card.

A model is a card `<stem>.json` with `<stem>.safetensors` beside it, and usually the graphs
`<stem>.encoder.onnx` and `<stem>.decoder.onnx`, which may read their weights from it. Some have a third,
`<stem>.points.onnx`: the decoder for prompts without masks, who share more of its work; some heads with
weights of their own: `<stem>.boxes.onnx` (box proposals), `<stem>.edges.onnx` (edge detection) and
`<stem>.names.onnx` with `<stem>.names.safetensors` (names of things, for words as prompts).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound, WeightsError
from anymask.files import sha256_of, write_atomically

HOW_ASKED = ("refine", "postprocess")  # facts on a card: a second pass, steps of every answer
TEMPERATURE_FACT = "temperature"  # on a card: for temperature scaling of the probabilities
SUFFIXES = (
    ".json", ".encoder.onnx", ".decoder.onnx", ".points.onnx", ".boxes.onnx", ".edges.onnx", ".names.onnx",
    ".names.safetensors", ".safetensors",
)  # fmt: skip
PARTS = ("encoder", "decoder", "points", "boxes", "edges", "names", "names_table", "weights")
NAMING_PARTS = ("names", "names_table")
HEAD_PARTS = ("boxes", "edges", *NAMING_PARTS)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The paths of one model, in the order of SUFFIXES; not all of them need exist."""

    card: Path
    encoder: Path
    decoder: Path
    points: Path
    boxes: Path
    edges: Path
    names: Path
    names_table: Path
    weights: Path

    @classmethod
    def of(cls, path: Path) -> ModelFiles:
        """The files beside any one of them."""
        stem = next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.name)
        return cls(*(path.with_name(stem + suffix) for suffix in SUFFIXES))

    @property
    def has_graphs(self) -> bool:
        return self.encoder.is_file() and self.decoder.is_file()

    def parts(self) -> Iterator[tuple[str, Path]]:
        """The name on the card and the path of each file that exists."""
        return ((part, self.part(part)) for part in PARTS if self.part(part).is_file())

    def part(self, name: str) -> Path:
        """One of PARTS, by its name on the card."""
        path: Path = getattr(self, name)
        return path


@dataclass(frozen=True, slots=True)
class Card:
    """What is written beside the weights: the spec, and everything else in the JSON (sources, numbers)."""

    spec: ModelSpec
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Names the weights: an embedding of one must not meet the decoder of another. "" if unknown."""
        return self.sha256("weights")[:16] or self.sha256("encoder")[:16]

    @property
    def temperature(self) -> float:
        """Of the probabilities, see `apply_temperature`; 1 unless the card names one. Raises WeightsError."""
        value = self.facts.get(TEMPERATURE_FACT, 1.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise WeightsError(f"{TEMPERATURE_FACT} on the card: expected a number above 0, got {value!r}")
        return float(value)

    def sha256(self, part: str) -> str:
        facts = self.facts.get(part)
        return str(facts.get("sha256", "")) if isinstance(facts, dict) else ""


def read_card(path: Path) -> Card:
    """The card of a model, by the path of any of its files.

    Raises ModelNotFound when there is none, WeightsError when it is damaged.
    """
    card = ModelFiles.of(path).card
    try:
        facts = json.loads(card.read_text("utf-8"))
        return Card(ModelSpec.from_dict(facts["spec"]), facts)
    except FileNotFoundError:
        raise ModelNotFound(f"no model at {path}: expected its card, {card.name}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"cannot read the card {card}: {type(error).__name__} {error}") from error


def check_files(path: Path, parts: Sequence[str] = PARTS) -> None:
    """Compare the files of a model with the hashes on its card. Raises WeightsError for a damaged one."""
    card = read_card(path)
    for part, file in ModelFiles.of(path).parts():
        expected = card.sha256(part) if part in parts else ""
        if expected and sha256_of(file) != expected:
            raise WeightsError(f"{file} is damaged: its SHA-256 is not the one on its card")


def write_card(path: Path, facts: Mapping[str, Any]) -> Path:
    """Write a card and return its path. Raises StorageError."""
    write_atomically(path, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    return path
