"""Embedding: an encoded image as a value. Pickled, saved, sent and shared without its model or its photo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats
from anymask.core.values import ArrayValue
from anymask.errors import BadInput
from anymask.files import write_atomically

HEADER = "anymask"  # of the file's metadata: everything but the arrays
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Embedding(ArrayValue):
    """The image embedding of the paper (section 3) with what is needed to decode it.

    `arrays`: float32, by the names of `ModelSpec.embedding_names`. `frame`: the image in the model's square.
    `content_hash` names the pixels, whatever file they came from; `model` and `fingerprint` the weights that
    made it.
    """

    arrays: Mapping[str, Floats]
    frame: ResizeLongest
    content_hash: str
    model: str
    fingerprint: str = ""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the image, in its own pixels."""
        return self.frame.size_hw_image

    def to_bytes(self) -> bytes:
        """A safetensors file in half precision: answers differ by rounding, masks at a few edge pixels."""
        halves = {n: a.clip(-HALF_MAX, HALF_MAX).astype(np.float16) for n, a in self.arrays.items()}
        facts = {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "size_hw": list(self.size_hw),
            "input_size": self.frame.input_size,
            "content_hash": self.content_hash,
        }
        return save(halves, {HEADER: json.dumps(facts | {"sha256": _digest(halves, facts)})})

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "embedding") -> Embedding:
        """Raises BadInput, whose message begins with `name`, for what is damaged or no embedding."""
        try:
            halves = load(content)
            (length,) = np.frombuffer(content[:8], "<u8")
            facts = json.loads(json.loads(content[8 : 8 + int(length)])["__metadata__"][HEADER])
            expected = facts.pop("sha256")
            height, width = (int(side) for side in facts["size_hw"])
            frame = ResizeLongest((height, width), int(facts["input_size"]))
            made_by = (str(facts["model"]), str(facts["fingerprint"]))
            content_hash = str(facts["content_hash"])
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"{name} is damaged or no embedding: {error}") from error
        if _digest(halves, facts) != expected:
            raise BadInput(f"{name} is damaged: its content is not what was saved")
        arrays = {key: half.astype(np.float32) for key, half in halves.items()}
        return cls(arrays, frame, content_hash, *made_by)

    def save(self, path: Path) -> Path:
        """Write `to_bytes`, whole or not at all. Raises StorageError."""
        write_atomically(path, self.to_bytes())
        return path

    @classmethod
    def load(cls, path: Path) -> Embedding:
        """What `save` wrote. Raises BadInput when it is missing, damaged or something else."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
        return cls.from_bytes(content, str(path))

    def __repr__(self) -> str:
        height, width = self.size_hw
        return f"Embedding({self.model}, {width} x {height}, {self.content_hash[:12]})"


def _digest(arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
