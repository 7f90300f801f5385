"""Where the files of a model are, and its card. Knows names and JSON, not what is inside a weights file.

A model is a folder entry `<name>.json` (the card) with `<name>.encoder.onnx` and `<name>.decoder.onnx`, or
`<name>.safetensors`, or both, beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound, WeightsError

ENCODER_SUFFIX, DECODER_SUFFIX, WEIGHTS_SUFFIX, CARD_SUFFIX = ".encoder.onnx", ".decoder.onnx", ".safetensors", ".json"
SUFFIXES = (ENCODER_SUFFIX, DECODER_SUFFIX, WEIGHTS_SUFFIX, CARD_SUFFIX)


@dataclass(frozen=True, slots=True)
class OnnxPair:
    encoder: Path
    decoder: Path


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one model; either may be missing, not both. `card` is {} for weights without one."""

    name: str
    onnx: OnnxPair | None = None
    weights: Path | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> ModelSpec:
        """Raises WeightsError when the card has none."""
        try:
            return ModelSpec.from_dict(dict(self.card["spec"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the card of {self.name} has no valid spec: {error!r}") from error

    @property
    def fingerprint(self) -> str:
        """Names the weights: embeddings of one must not meet the decoder of another. Empty when the card is silent."""
        hashes = [str(self.card.get(part, {}).get("sha256", "")) for part in ("encoder", "weights")]
        return next((h[:16] for h in hashes if h), "")


def find_files(folder: Path, name: str) -> ModelFiles | None:
    """The model `name` in a folder; None when there is nothing of it. Raises WeightsError for a damaged card."""
    encoder, decoder, weights = (folder / f"{name}{suffix}" for suffix in SUFFIXES[:3])
    pair = OnnxPair(encoder, decoder) if encoder.is_file() and decoder.is_file() else None
    if pair is None and not weights.is_file():
        return None
    return ModelFiles(name, pair, weights if weights.is_file() else None, read_card(folder / f"{name}{CARD_SUFFIX}"))


def files_of_path(path: Path) -> ModelFiles:
    """The model that a path names: its card, one of its files or a folder that holds one model. Raises ModelNotFound."""
    if path.is_dir():
        stems = sorted({stem_of(p) for p in path.iterdir() if p.name.endswith(SUFFIXES[:3])})
        if len(stems) != 1:
            raise ModelNotFound(f"expected the files of one model in {path}, found {', '.join(stems) or 'none'}")
        path = path / f"{stems[0]}{CARD_SUFFIX}"
    found = find_files(path.parent, stem_of(path)) if path.name.endswith(SUFFIXES) else None
    if found is None:
        raise ModelNotFound(f"no model at {path}: expected a card (.json), a .safetensors file or a pair of .onnx files")
    return found


def stem_of(path: Path) -> str:
    return next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.stem)


def read_card(path: Path) -> dict[str, Any]:
    """{} when there is none. Raises WeightsError when it is no JSON object."""
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read the card {path}: {error}") from error
    if not isinstance(card, dict):
        raise WeightsError(f"expected a JSON object in the card {path}, found {type(card).__name__}")
    return card


def read_checked(path: Path, facts: Any) -> bytes:
    """The bytes of a file that must have the hash on its card, if the card has one. Raises WeightsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    expected = facts.get("sha256") if isinstance(facts, Mapping) else None
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise WeightsError(f"{path} is damaged: its SHA-256 is not the one on its card")
    return content
