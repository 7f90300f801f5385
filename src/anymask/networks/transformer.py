"""The two-way transformer: a few prompt tokens and the many cells of an image read each other in turn.

Two facts make it cheap without changing the result:

- Until prompts have written to the image, all prompts see the same image, so it stays at batch 1.
- Tokens are few. A projection of every image cell, followed by a product with a projected token, equals a
  product with a token that was projected twice: (Wq q).(Wk x) = (Wk' Wq q).x. This is less arithmetic while
  heads x tokens is below the width of the attention (16 tokens in the published sizes).

Source: Segment Anything, appendix A, "Lightweight mask decoder".

Legend: P prompts, Q 1 or P, T tokens, C channels, h w grid, L = h * w cells, H heads, D channels of a head.
"""

from __future__ import annotations

from torch import Tensor, einsum, nn

from anymask.networks.layers import FeedForward

DOWNSAMPLE_RATE = 2  # of the width inside the attention between tokens and image


class Attention(nn.Module):
    """Multi-head attention among tokens, with a narrower inside when `downsample_rate` > 1."""

    def __init__(self, dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner_dim = dim // downsample_rate
        if inner_dim % num_heads:
            raise ValueError(f"num_heads must divide the attention width {inner_dim}, got {num_heads}")
        self.num_heads = num_heads
        self.scale = (inner_dim // num_heads) ** -0.5
        self.q_proj = nn.Linear(dim, inner_dim)
        self.k_proj = nn.Linear(dim, inner_dim)
        self.v_proj = nn.Linear(dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, dim)

    def forward(self, q_PTC: Tensor, k_PTC: Tensor, v_PTC: Tensor) -> Tensor:
        q_PTHD = self.split_heads(self.q_proj(q_PTC)) * self.scale
        k_PTHD = self.split_heads(self.k_proj(k_PTC))
        v_PTHD = self.split_heads(self.v_proj(v_PTC))
        weights = einsum("pqhd,pkhd->phqk", q_PTHD, k_PTHD).softmax(dim=-1)
        out: Tensor = self.out_proj(einsum("phqk,pkhd->pqhd", weights, v_PTHD).flatten(2))
        return out

    def split_heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.num_heads, -1)


class TokensToImage(Attention):
    """Tokens read the image: queries are tokens, keys and values are image cells."""

    def forward(self, q_PTC: Tensor, k_QLC: Tensor, v_QLC: Tensor) -> Tensor:
        """Returns P x T x C. The bias of `k_proj` shifts all scores of a query alike: softmax removes it."""
        q_PTHD = self.split_heads(self.q_proj(q_PTC)) * self.scale
        k_weight_HDC = self.k_proj.weight.unflatten(0, (self.num_heads, -1))
        v_weight_HDC = self.v_proj.weight.unflatten(0, (self.num_heads, -1))
        queries = einsum("pthd,hdc->phtc", q_PTHD, k_weight_HDC).flatten(1, 2)
        weights = (queries @ shared(k_QLC).transpose(-2, -1)).softmax(dim=-1)
        read_PHTC = (weights @ shared(v_QLC)).unflatten(1, (self.num_heads, -1))
        values = einsum("phtc,hdc->pthd", read_PHTC, v_weight_HDC).flatten(2) + self.v_proj.bias
        out: Tensor = self.out_proj(values)
        return out


class ImageToTokens(Attention):
    """Image cells read the tokens: queries are image cells, keys and values are tokens."""

    def forward(self, q_QLC: Tensor, k_PTC: Tensor, v_PTC: Tensor) -> Tensor:
        """Returns P x L x C."""
        k_PTHD = self.split_heads(self.k_proj(k_PTC)) * self.scale
        v_PTHD = self.split_heads(self.v_proj(v_PTC))
        q_weight_HDC = self.q_proj.weight.unflatten(0, (self.num_heads, -1))
        q_bias_HD = self.q_proj.bias.unflatten(0, (self.num_heads, -1))
        out_weight_CHD = self.out_proj.weight.unflatten(1, (self.num_heads, -1))
        keys = einsum("pthd,hdc->phtc", k_PTHD, q_weight_HDC).flatten(1, 2)
        offsets = einsum("pthd,hd->pht", k_PTHD, q_bias_HD).flatten(1, 2).unsqueeze(2)
        values = einsum("pthd,chd->phtc", v_PTHD, out_weight_CHD).flatten(1, 2)
        scores_PHTL = (keys @ shared(q_QLC).transpose(-2, -1) + offsets).unflatten(1, (self.num_heads, -1))
        return softmax_of_few(scores_PHTL, 2).flatten(1, 2).transpose(-2, -1) @ values + self.out_proj.bias


def softmax_of_few(scores: Tensor, dim: int) -> Tensor:
    """Softmax over a short axis, thousands of times: written out it runs along the long last axis, which the
    runtimes do in half the time.
    """
    chances = (scores - scores.amax(dim, keepdim=True)).exp()
    return chances / chances.sum(dim, keepdim=True)


def shared(x_QLC: Tensor) -> Tensor:
    """Drop a batch axis of 1, so that a product with P prompts is one matrix product and copies nothing."""
    return x_QLC.squeeze(0) if x_QLC.shape[0] == 1 else x_QLC


class TwoWayBlock(nn.Module):
    """Tokens read each other, tokens read the image, an MLP on tokens, the image reads the tokens."""

    def __init__(self, dim: int, num_heads: int, mlp_dim: int, is_first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = TokensToImage(dim, num_heads, DOWNSAMPLE_RATE)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, nn.ReLU())
        self.norm3 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = ImageToTokens(dim, num_heads, DOWNSAMPLE_RATE)
        self.norm4 = nn.LayerNorm(dim)
        self.is_first = is_first

    def forward(
        self, tokens_PTC: Tensor, image_QLC: Tensor, token_pe_PTC: Tensor, image_pe_1LC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns tokens P x T x C and the image P x L x C."""
        tokens = self.norm1(self.attend_tokens(tokens_PTC, token_pe_PTC))
        placed_image = image_QLC + image_pe_1LC
        read = self.cross_attn_token_to_image(tokens + token_pe_PTC, placed_image, image_QLC)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        written = self.cross_attn_image_to_token(placed_image, tokens + token_pe_PTC, tokens)
        return tokens, self.norm4(image_QLC + written)

    def attend_tokens(self, tokens_PTC: Tensor, token_pe_PTC: Tensor) -> Tensor:
        """In the first block tokens are their own positions, so attention replaces them: no residual."""
        if self.is_first:
            replaced: Tensor = self.self_attn(tokens_PTC, tokens_PTC, tokens_PTC)
            return replaced
        placed = tokens_PTC + token_pe_PTC
        added: Tensor = self.self_attn(placed, placed, tokens_PTC)
        return tokens_PTC + added


class TwoWayTransformer(nn.Module):
    """`depth` two-way blocks and a last reading of the image by the tokens.

    Raises ValueError when `num_heads` does not divide the attention width.
    """

    def __init__(self, depth: int, embedding_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        blocks = (TwoWayBlock(embedding_dim, num_heads, mlp_dim, is_first=i == 0) for i in range(depth))
        self.layers = nn.ModuleList(blocks)
        self.final_attn_token_to_image = TokensToImage(embedding_dim, num_heads, DOWNSAMPLE_RATE)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(self, image_QChw: Tensor, image_pe_1Chw: Tensor, tokens_PTC: Tensor) -> tuple[Tensor, Tensor]:
        """Answer tokens P x T x C with an image of batch 1 (shared by all prompts) or P.

        Returns tokens P x T x C and the image P x (h w) x C.
        """
        image, image_pe = (x.flatten(2).transpose(-2, -1) for x in (image_QChw, image_pe_1Chw))
        tokens = tokens_PTC
        for layer in self.layers:
            tokens, image = layer(tokens, image, tokens_PTC, image_pe)
        read = self.final_attn_token_to_image(tokens + tokens_PTC, image + image_pe, image)
        return self.norm_final_attn(tokens + read), image
