"""Encoders of phrases, on tiny models that the tests make: no weights are fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from anymask.errors import BadPrompt, DownloadError, MissingExtra, WeightsError
from anymask.files import sha256_of
from anymask.words.bert import SentenceBert, erf
from anymask.words.encoders import ClipTowers, MiniLM, PackagedWords, TextEncoder, fetch_minilm
from anymask.words.vocabulary import default_vocabulary

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "car", "dog", "runs", "##s"]
CONFIG = {
    "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 384, "intermediate_size": 64,
    "max_position_embeddings": 16, "layer_norm_eps": 1e-12, "vocab_size": len(WORDS), "type_vocab_size": 2,
    "model_type": "bert", "hidden_act": "gelu",
}  # fmt: skip


def write_tokenizer(path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import models, normalizers, pre_tokenizers, processors

    tokenizer = tokenizers.Tokenizer(
        models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path))


def random_weights(config: dict[str, Any]) -> dict[str, np.ndarray]:
    rng, wide = np.random.default_rng(0), config["hidden_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], wide),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], wide),
        "embeddings.token_type_embeddings.weight": (2, wide),
        "embeddings.LayerNorm.weight": (wide,), "embeddings.LayerNorm.bias": (wide,),
    }  # fmt: skip
    for layer in range(config["num_hidden_layers"]):
        name, inner = f"encoder.layer.{layer}", config["intermediate_size"]
        linear = {f"attention.self.{part}": (wide, wide) for part in ("query", "key", "value")}
        linear |= {
            "attention.output.dense": (wide, wide),
            "intermediate.dense": (inner, wide),
            "output.dense": (wide, inner),
        }
        for part, shape in linear.items():
            shapes |= {f"{name}.{part}.weight": shape, f"{name}.{part}.bias": shape[:1]}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}.{part}.weight": (wide,), f"{name}.{part}.bias": (wide,)}
    return {
        name: (rng.normal(0, 0.1, shape) + name.endswith("Norm.weight")).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    write_tokenizer(folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file(random_weights(CONFIG), folder / "model.safetensors")
    return folder


def test_packaged_words_encode_nouns_in_both_languages() -> None:
    words = PackagedWords()
    assert isinstance(words, TextEncoder)
    dog, hund, cat = words.encode(["dogs", "개", "cat"])
    assert np.array_equal(dog, hund) and not np.array_equal(dog, cat)
    assert dog.dtype == np.float32 and dog @ dog == pytest.approx(1, abs=1e-5)
    assert words.fingerprint == sha256_of(default_vocabulary().folder / "words.safetensors")[:16]
    with pytest.raises(BadPrompt, match="unknown word"):
        words.encode(["blorf"])


def test_the_numpy_bert_is_that_of_transformers(tiny_bert: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    texts = [
        "a red car runs",
        "dog",
        "a dog runs a red car runs a dog dogs runs a red car runs a red dog runs",
    ]
    with torch.no_grad():
        model = transformers.BertModel(transformers.BertConfig(**CONFIG), add_pooling_layer=False).eval()
        from safetensors.torch import load_file

        model.load_state_dict(load_file(tiny_bert / "model.safetensors"))
        expected = []
        for text in texts:  # one by one: no padding to trust in
            ids = torch.tensor([SentenceBert(tiny_bert).tokenizer.encode(text).ids])
            mean = model(ids).last_hidden_state[0].mean(0)
            expected.append((mean / mean.norm()).numpy())
    assert np.allclose(SentenceBert(tiny_bert).encode(texts), expected, atol=2e-6)


def test_the_error_function_is_close() -> None:
    from math import erf as exact

    x = np.linspace(-5, 5, 101, dtype=np.float32)
    assert np.allclose(erf(x), [exact(float(v)) for v in x], atol=5e-7)


def test_minilm_answers_in_the_word_space(tiny_bert: Path) -> None:
    encoder = MiniLM(tiny_bert)
    vectors = encoder.encode(["A red car", "dog", "a  red car."])
    assert isinstance(encoder, TextEncoder)
    assert vectors.shape == (3, 128) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-6) and not np.allclose(vectors[0], vectors[1])
    assert encoder.fingerprint == sha256_of(tiny_bert / "model.safetensors")[:16]
    assert encoder.encode([]).shape == (0, 128)
    with pytest.raises(BadPrompt, match="empty"):
        encoder.encode(["  "])


def test_files_of_another_kind_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no config.json, model.safetensors, tokenizer.json"):
        MiniLM(tmp_path)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_bert / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="not a tokenizer"):
        MiniLM(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="not a BERT"):
        MiniLM(tmp_path)
    save_file({"weight": np.ones(2, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a BERT"):
        MiniLM(tmp_path)


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    config = CONFIG | {"hidden_size": 32}
    write_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(random_weights(config), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="vectors of 32 numbers; expected 384"):
        MiniLM(tmp_path)


def test_without_the_extra_the_error_says_what_to_install(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"anymask\[text\]"):
        MiniLM(tiny_bert)


@pytest.fixture
def server(tiny_bert: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tiny_bert))) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


def remotes(folder: Path) -> dict[str, tuple[str, int]]:
    return {path.name: (sha256_of(path), path.stat().st_size) for path in folder.iterdir()}


def test_the_encoder_is_fetched_once_and_checked(tiny_bert: Path, server: str, tmp_path: Path) -> None:
    folder = fetch_minilm(tmp_path / "minilm", server, remotes(tiny_bert))
    assert MiniLM(folder).encode(["dog"]).shape == (1, 128)
    assert fetch_minilm(folder, "http://127.0.0.1:1/", remotes(tiny_bert)) == folder  # nobody is asked again
    wrong = {name: ("0" * 64, size) for name, (_, size) in remotes(tiny_bert).items()}
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch_minilm(tmp_path / "other", server, wrong)


def test_offline_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask import settings

    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    settings.get_settings.cache_clear()
    try:
        with pytest.raises(DownloadError, match="offline"):
            fetch_minilm(tmp_path)
    finally:
        monkeypatch.undo()
        settings.get_settings.cache_clear()


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights with a tokenizer of its own."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    write_tokenizer(folder / "tokenizer.json")
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {
        "vocab_size": len(WORDS),
        "max_position_embeddings": 16,
        "eos_token_id": 3,
        "bos_token_id": 2,
    }
    config = transformers.CLIPConfig(
        text_config=text, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=12
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]",
        eos_token="[SEP]",
        model_max_length=16,
    ).save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def test_clip_towers_put_texts_and_images_into_one_space(tiny_clip: Path) -> None:
    towers = ClipTowers(tiny_clip)
    assert isinstance(towers, TextEncoder) and towers.name == f"clip:{tiny_clip.name}"
    texts = towers.encode(["a red car", "dog"])
    rng = np.random.default_rng(0)
    images = towers.encode_images(
        [rng.integers(0, 256, size, np.uint8) for size in ((40, 50, 3), (32, 32, 3))]
    )
    assert texts.shape == images.shape == (2, 12)
    assert np.allclose(np.linalg.norm(np.concatenate([texts, images]), axis=1), 1, atol=1e-5)
    assert not np.allclose(texts[0], texts[1]) and not np.allclose(images[0], images[1])
    assert len(towers.fingerprint) == 16


def test_a_model_without_both_towers_is_refused(tiny_bert: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError):
        ClipTowers(tiny_bert)
