"""Where the files of a model are, and its card. Knows names and JSON, not what is inside a weights file.

A model is a card `<stem>.json` with `<stem>.encoder.onnx` and `<stem>.decoder.onnx`, or `<stem>.safetensors`,
or all of them, beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound, WeightsError

SUFFIXES = (".encoder.onnx", ".decoder.onnx", ".safetensors", ".json")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The paths of one model; not all of them need exist."""

    card: Path
    encoder: Path
    decoder: Path
    weights: Path

    @classmethod
    def of(cls, path: Path) -> ModelFiles:
        """The files beside any one of them."""
        stem = next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.name)
        encoder, decoder, weights, card = (path.with_name(stem + suffix) for suffix in SUFFIXES)
        return cls(card, encoder, decoder, weights)


@dataclass(frozen=True, slots=True)
class Card:
    """What is written beside the weights: the spec and other facts (sources, licences, numbers, checksums)."""

    spec: ModelSpec
    facts: dict[str, Any]


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
