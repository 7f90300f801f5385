"""The two-way transformer: its short cuts change nothing, and prompts do not disturb each other."""

# ruff: noqa: E402
from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sam_references import assert_parity, randomised, seeded
from torch.nn import functional as F

from anymask.networks.transformer import Attention, ImageToTokens, TokensToImage, TwoWayTransformer

DIM, HEADS = 32, 4


def draw(*shape: int, seed: int = 0) -> Any:
    with seeded(seed):
        return torch.randn(*shape)


def plain_attention(layer: Attention, q: Any, k: Any, v: Any) -> Any:
    """Attention as the books have it: every input is projected."""
    projected = (layer.q_proj(q), layer.k_proj(k), layer.v_proj(v))
    heads = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in projected)
    return layer.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("kind", [Attention, TokensToImage, ImageToTokens])
@pytest.mark.parametrize("queries, keys", [(7, 50), (50, 7), (40, 50)])
def test_attention_equals_the_textbook(kind: type[Attention], queries: int, keys: int) -> None:
    layer = randomised(kind(DIM, HEADS, 2))
    assert isinstance(layer, Attention)
    q, k, v = draw(3, queries, DIM), draw(3, keys, DIM, seed=1), draw(3, keys, DIM, seed=2)
    assert_parity(layer(q, k, v), plain_attention(layer, q, k, v), 1e-5)


@pytest.fixture(scope="module")
def transformer() -> Any:
    return randomised(TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=HEADS, mlp_dim=64))


@pytest.mark.parametrize("tokens", [1, 6, 30])
def test_a_shared_image_gives_what_copies_of_it_give(transformer: Any, tokens: int) -> None:
    image, positions, prompts = draw(1, DIM, 5, 6), draw(1, DIM, 5, 6, seed=1), draw(4, tokens, DIM, seed=2)
    together = transformer(image, positions, prompts)
    copied = transformer(image.expand(4, -1, -1, -1).contiguous(), positions, prompts)
    for ours, theirs in zip(together, copied, strict=True):
        assert_parity(ours, theirs, 1e-5)


def test_each_prompt_gets_what_it_gets_alone(transformer: Any) -> None:
    image, positions, prompts = draw(1, DIM, 4, 4), draw(1, DIM, 4, 4, seed=1), draw(3, 6, DIM, seed=2)
    tokens, images = transformer(image, positions, prompts)
    for p in range(3):
        alone_tokens, alone_image = transformer(image, positions, prompts[p : p + 1])
        assert_parity(tokens[p], alone_tokens[0], 1e-5)
        assert_parity(images[p], alone_image[0], 1e-5)


def test_the_image_comes_back_per_prompt_and_cell(transformer: Any) -> None:
    tokens, image = transformer(draw(1, DIM, 5, 6), draw(1, DIM, 5, 6), draw(2, 7, DIM))
    assert tokens.shape == (2, 7, DIM)
    assert image.shape == (2, 30, DIM)


def test_heads_must_divide_the_attention_width() -> None:
    with pytest.raises(ValueError, match="must divide the attention width 32, got 3"):
        TwoWayTransformer(depth=1, embedding_dim=32, num_heads=3, mlp_dim=64)


def test_gradients_reach_every_weight() -> None:
    model = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=HEADS, mlp_dim=64)
    tokens, image = model(draw(1, DIM, 4, 4), draw(1, DIM, 4, 4, seed=1), draw(2, 6, DIM, seed=2))
    (tokens.square().sum() + image.square().sum()).backward()
    # a bias of the keys shifts all scores of a query alike: no attention layer ever learns it
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert all(name.endswith("k_proj.bias") for name in without), without
