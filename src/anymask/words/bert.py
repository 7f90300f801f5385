"""A BERT encoder in NumPy: tokens to one vector a text, for the small sentence encoders of the MiniLM family.

Six layers of 384 numbers take about ten milliseconds a phrase, so that words need neither torch nor a graph.
The network is read from the published files as they are: `config.json`, `model.safetensors`,
`tokenizer.json`.

Source: Devlin et al. 2018, "BERT"; Reimers and Gurevych 2019, "Sentence-BERT" (mean over the tokens).

Legend: N texts, T tokens, H heads, C channels, D numbers of a text's vector (= C here).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from anymask.errors import MissingExtra, WeightsError, mapped

Array = NDArray[np.float32]
FILES = ("config.json", "model.safetensors", "tokenizer.json")
BATCH = 64
MASKED = np.float32(-1e9)


class SentenceBert:
    """Texts to unit vectors, by a folder of published files."""

    def __init__(self, folder: Path) -> None:
        """Raises WeightsError for files that are missing or others, MissingExtra without `tokenizers`."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise WeightsError(f"{folder}: no {', '.join(missing)}; expected the files of a sentence encoder")
        refused = (OSError, ValueError, KeyError, SafetensorError)
        with mapped(refused, WeightsError, f"{folder}: not a BERT sentence encoder"):
            config = json.loads((folder / "config.json").read_text("utf-8"))
            self.weights = _renamed(load_file(folder / "model.safetensors"))
            self.layers, self.heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
            self.eps = float(config["layer_norm_eps"])
            self.positions = int(config["max_position_embeddings"])
            self.dim = int(config["hidden_size"])
            last = f"encoder.layer.{self.layers - 1}.output.dense.weight"
            if not {"embeddings.word_embeddings.weight", last} <= self.weights.keys():
                raise KeyError(f"no tensor {last}")
        self.tokenizer = _tokenizer(folder / "tokenizer.json", self.positions)

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors, N x D."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths: little padding
        vectors_ND = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors_ND[rows] = self._encode([texts[i] for i in rows])
        return vectors_ND

    def _encode(self, texts: list[str]) -> Array:
        encodings = self.tokenizer.encode_batch(texts)
        longest = max(len(encoding.ids) for encoding in encodings)
        ids_NT = np.zeros((len(texts), longest), np.int64)
        real_NT = np.zeros((len(texts), longest), np.float32)
        for row, encoding in enumerate(encodings):
            ids_NT[row, : len(encoding.ids)] = encoding.ids
            real_NT[row, : len(encoding.ids)] = 1
        tokens_NTC = self._tokens(ids_NT, real_NT)
        mean_NC = (tokens_NTC * real_NT[..., None]).sum(1) / real_NT.sum(1)[:, None]
        return unit(mean_NC)

    def _tokens(self, ids_NT: NDArray[np.int64], real_NT: Array) -> Array:
        weight = self.weights
        x = weight["embeddings.word_embeddings.weight"][ids_NT]
        x = x + weight["embeddings.position_embeddings.weight"][: ids_NT.shape[1]]
        x = self._norm(x + weight["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden_N11T = ((1 - real_NT) * MASKED)[:, None, None, :]
        for layer in range(self.layers):
            x = self._layer(x, hidden_N11T, f"encoder.layer.{layer}")
        return x

    def _layer(self, x: Array, hidden_N11T: Array, name: str) -> Array:
        attended = self._linear(self._attention(x, hidden_N11T, name), f"{name}.attention.output.dense")
        x = self._norm(x + attended, f"{name}.attention.output.LayerNorm")
        wide = gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attention(self, x: Array, hidden_N11T: Array, name: str) -> Array:
        texts, length, channels = x.shape

        def heads(part: str) -> Array:
            projected = self._linear(x, f"{name}.attention.self.{part}")
            return projected.reshape(texts, length, self.heads, -1).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores_NHTT = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(query.shape[-1])) + hidden_N11T
        scores_NHTT = np.exp(scores_NHTT - scores_NHTT.max(-1, keepdims=True))
        shares_NHTT = scores_NHTT / scores_NHTT.sum(-1, keepdims=True)
        mixed: Array = (shares_NHTT @ value).transpose(0, 2, 1, 3).reshape(texts, length, channels)
        return mixed

    def _linear(self, x: Array, name: str) -> Array:
        product: Array = x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return product

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(self.eps))
        normed: Array = centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return normed


def unit(vectors: Array) -> Array:
    """Each vector of the last axis divided by its length; zeros stay zeros."""
    lengths = np.sqrt((vectors.astype(np.float32) ** 2).sum(-1, keepdims=True))
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def gelu(x: Array) -> Array:
    """x times the normal distribution function of x."""
    return np.asarray(0.5 * x * (1 + erf(x / np.float32(np.sqrt(2)))), np.float32)


def erf(x: Array) -> Array:
    """The error function to 2e-7. Source: Abramowitz and Stegun 1964, formula 7.1.26."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - series * np.exp(-x * x)), np.float32)


def _renamed(weights: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Float32 and without the prefix that some files carry."""
    return {name.removeprefix("bert."): np.asarray(array, np.float32) for name, array in weights.items()}


def _tokenizer(path: Path, positions: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("phrases outside the vocabulary need `pip install anymask[text]`") from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare exceptions
        raise WeightsError(f"{path}: not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(positions)
    return tokenizer
