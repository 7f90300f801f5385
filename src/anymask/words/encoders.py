"""Encoders of phrases: the packaged words, a MiniLM for phrases outside them, and CLIP-like pairs of towers.

`PackagedWords` and `MiniLM` share one space of 128 numbers, in which the naming heads were trained.
`ClipTowers` has a space of its own, for texts and images alike: whoever has such weights gets both halves.

Legend: N texts or images, D numbers of a vector, S of the sentence encoder's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from anymask.errors import DownloadError, MissingExtra, WeightsError, mapped
from anymask.files import sha256_of
from anymask.hub.catalog import models_folder
from anymask.hub.download import Remote, download
from anymask.words.bert import SentenceBert, unit
from anymask.words.text import clean
from anymask.words.vocabulary import Vocabulary, default_vocabulary

Array = NDArray[np.float32]
FINGERPRINT = 16  # hex digits
MINILM = "all-MiniLM-L6-v2"  # Apache-2.0
PUBLISHED = f"https://huggingface.co/sentence-transformers/{MINILM}/resolve/main/"
REMOTES = {
    "config.json": ("953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41", 612),
    "tokenizer.json": ("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", 466_247),
    "model.safetensors": ("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", 90_868_376),
}


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to unit vectors. `name`, `fingerprint`: which encoder made a vector; vectors of two do not
    compare.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> Array:
        """N x D float32, each of length 1. Raises BadPrompt for a text that cannot be encoded."""
        ...


class PackagedWords:
    """The vectors of the vocabulary: no network, works offline; knows nouns only."""

    name = "words"

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or default_vocabulary()

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.vocabulary.folder / "words.safetensors")

    def encode(self, texts: Sequence[str]) -> Array:
        """The vector of the noun that each text means. Raises BadPrompt for an unknown one."""
        rows = [self.vocabulary.resolve(text).row for text in texts]
        return self.vocabulary.vectors_WD[rows]


class MiniLM:
    """A sentence encoder for any English phrase, in the space of the packaged words. Extra: `text`.

    `folder`: where its `config.json`, `model.safetensors` and `tokenizer.json` lie; None: the models folder
    of anymask, into which they are downloaded once (91 MB). The projection belongs to all-MiniLM-L6-v2.
    """

    name = "minilm"

    def __init__(self, folder: str | Path | None = None, vocabulary: Vocabulary | None = None) -> None:
        """Raises WeightsError for other files, DownloadError if they cannot be fetched, MissingExtra without
        `text`.
        """
        self.vocabulary = vocabulary or default_vocabulary()
        self.folder = fetch_minilm() if folder is None else Path(folder)
        self.bert = SentenceBert(self.folder)
        if self.bert.dim != len(self.vocabulary.mean_S):
            raise WeightsError(
                f"{self.folder}: vectors of {self.bert.dim} numbers; expected {len(self.vocabulary.mean_S)}"
                f" ({MINILM})"
            )

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.folder / "model.safetensors")

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors of the word space, N x 128."""
        cleaned = [clean(text) for text in texts]
        if not cleaned:
            return np.zeros((0, self.vocabulary.projection_SD.shape[1]), np.float32)
        return self.vocabulary.project(self.bert.encode(cleaned))


class ClipTowers:
    """Text and images in one space, by a CLIP-like model of `transformers` in a local folder or on its hub.

    For users who have such weights; anymask ships none. Extra: `clip`.
    """

    def __init__(self, source: str | Path, device: str = "cpu") -> None:
        """Raises MissingExtra without the libraries, WeightsError if the model has not both towers."""
        transformers = _transformers()
        self.source, self.device = str(source), device
        with mapped(
            (OSError, ValueError, KeyError, TypeError), WeightsError, f"{source}: no CLIP-like model"
        ):
            self.model = transformers.AutoModel.from_pretrained(self.source).eval().to(device)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.source)
            self.processor = transformers.AutoImageProcessor.from_pretrained(self.source, use_fast=False)
        if not hasattr(self.model, "get_text_features") or not hasattr(self.model, "get_image_features"):
            raise WeightsError(f"{source}: expected a model with a text and an image tower, such as CLIP")

    @property
    def name(self) -> str:
        return f"clip:{Path(self.source).name}"

    @cached_property
    def fingerprint(self) -> str:
        path = Path(self.source) / "model.safetensors"
        return _fingerprint(path) if path.is_file() else str(self.model.config.name_or_path)

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors of texts, N x D."""
        tokens = self.tokenizer(
            [clean(text) for text in texts], padding=True, truncation=True, return_tensors="pt"
        )
        return self._vectors(self.model.get_text_features, tokens)

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> Array:
        """Unit vectors of RGB images, (H, W, 3) uint8 each, N x D: comparable with those of texts."""
        pixels = self.processor(images=list(images), return_tensors="pt")
        return self._vectors(self.model.get_image_features, pixels)

    def _vectors(self, tower: Any, inputs: Any) -> Array:
        import torch

        with torch.inference_mode():
            answer = tower(**{name: value.to(self.device) for name, value in inputs.items()})
        vectors = getattr(answer, "pooler_output", answer)  # transformers 5 answers with an object
        return unit(vectors.float().cpu().numpy())


def fetch_minilm(
    folder: Path | None = None, url: str = PUBLISHED, remotes: Mapping[str, tuple[str, int]] = REMOTES
) -> Path:
    """The folder of the sentence encoder; files that are not there yet are fetched from `url`, whole and
    checked.

    `remotes`: SHA-256 and bytes of each file. Raises DownloadError if they cannot be fetched or
    ANYMASK_OFFLINE is set, StorageError if they cannot be written.
    """
    from anymask.settings import get_settings

    folder = folder or models_folder() / MINILM
    missing = [name for name in remotes if not (folder / name).is_file()]
    if missing and get_settings().offline:
        raise DownloadError(
            f"offline (ANYMASK_OFFLINE is set): fetch {', '.join(missing)} from {url} elsewhere, to {folder}"
        )
    for name in missing:
        download(Remote(url + name, *remotes[name]), folder / name)
    return folder


def _transformers() -> Any:
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise MissingExtra("CLIP-like towers need `pip install anymask[clip]`") from error
    return transformers


def _fingerprint(path: Path) -> str:
    return sha256_of(path)[:FINGERPRINT]
