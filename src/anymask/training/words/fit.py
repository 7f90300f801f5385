"""Fits the two heads to word vectors that stay as they are: cosine softmax over all names that were seen.

A name does not compete with its synonyms, hypernyms and hyponyms: "animal" is no mistake for a dog.
Legend: E examples, F features, C components, N names, n of a photo, D numbers of a word vector, P cells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.naming import CONTEXT, REDUCED, WORD, DenseHead, RegionHead
from anymask.training.words.examples import NONE, DenseExample, Regions

log = logging.getLogger(__name__)

NEVER = -1e4  # added to the logit of a name that must not compete
STUFF_WORDS = 0.5  # of a name's annotations, those that are semantic: above it is stuff
SAMPLING_POWER = -0.6  # of a name's count: rare names are drawn more often than they occur


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Principal components of region features, each divided by the root of its deviation."""

    mean_F: Tensor
    components_FC: Tensor

    def __call__(self, features_EF: Tensor) -> Tensor:
        return (features_EF - self.mean_F) @ self.components_FC


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """The names to learn: `vectors_ND` of unit length, `competes_NN` False for related names."""

    names: tuple[str, ...]
    vectors_ND: Tensor
    competes_NN: Tensor
    stuff_N: Tensor

    def index(self, name: str) -> int:
        """The number of names for "none of them"."""
        return len(self.names) if name == NONE else self.names.index(name)

    @property
    def masked_NN(self) -> Tensor:
        """To add to logits, by the name that is right; a last row for none. Nothing masks itself."""
        masked = torch.where(self.competes_NN, 0.0, NEVER)
        masked.fill_diagonal_(0.0)
        return torch.cat([masked, torch.zeros(1, len(self.names))])


@dataclass(frozen=True, slots=True)
class Schedule:
    epochs: float
    batch: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0


def principal_components(features_EF: NDArray[np.float16], limit: int = 12_000, seed: int = 0) -> Components:
    """Scaled so that all components together have a mean square of one."""
    chosen = np.random.default_rng(seed).permutation(len(features_EF))[:limit]
    sample = features_EF[chosen].astype(np.float64)
    mean = sample.mean(0)
    values, vectors = np.linalg.eigh(np.cov((sample - mean).T))
    order = np.argsort(-values)[:REDUCED]
    scaled = vectors[:, order] / np.sqrt(np.sqrt(values[order].clip(1e-9)))
    scaled /= np.sqrt((((sample - mean) @ scaled) ** 2).mean())
    return Components(*(torch.from_numpy(a.astype(np.float32)) for a in (mean, scaled)))


def region_components(regions: Regions, components: Components) -> tuple[Tensor, Tensor, Tensor]:
    """Of masks, boxes and whole photos."""
    parts = (regions.masks_EF, regions.boxes_EF, regions.whole_EF)
    masks, boxes, whole = (components(torch.from_numpy(part.astype(np.float32))) for part in parts)
    return masks, boxes, whole[:, :CONTEXT]


def fit_region_head(
    regions: Regions, components: Components, names: Names, scale: float, none: int, schedule: Schedule
) -> tuple[RegionHead, Tensor]:
    """The head and its vectors for "none of the names", (none, D)."""
    torch.manual_seed(schedule.seed)
    masks, boxes, whole = region_components(regions, components)
    labels = np.array([names.index(name) for name in regions.names_E.tolist()])
    weights = np.bincount(labels, minlength=len(names.names) + 1).astype(float)[labels] ** SAMPLING_POWER
    weights[labels == len(names.names)] *= 2
    head, masked = RegionHead(), names.masked_NN
    nothing = nn.Parameter(F.normalize(torch.randn(none, WORD), dim=-1) / 2)
    target = torch.from_numpy(labels)

    def loss_of(rows: Tensor) -> Tensor:
        by_box = torch.rand(len(rows), 1) < 0.5
        context = whole[rows] * (torch.rand(len(rows), 1) < 0.5)
        vectors = head(torch.where(by_box, boxes[rows], masks[rows]), context)
        named = scale * vectors @ names.vectors_ND.T + masked[target[rows]]
        unnamed = torch.logsumexp(scale * vectors @ nothing.T, 1, keepdim=True)
        return F.cross_entropy(torch.cat([named, unnamed], 1), target[rows])

    draws = np.random.default_rng(schedule.seed).choice(
        len(labels), (int(schedule.epochs * len(labels) / schedule.batch), schedule.batch),
        p=weights / weights.sum(),
    )  # fmt: skip
    descend(head, nothing, [torch.from_numpy(row) for row in draws], loss_of, schedule)
    return head.eval(), nothing.detach()


def fit_dense_head(
    examples: Sequence[DenseExample], features: Callable[[str], Tensor], names: Names, scale: float,
    none: int, schedule: Schedule,
) -> tuple[DenseHead, Tensor]:  # fmt: skip
    """The head and its vectors for "none". `features(key)`: (C, h, w), reduced."""
    torch.manual_seed(schedule.seed)
    head, masked = DenseHead(), names.masked_NN
    nothing = nn.Parameter(F.normalize(torch.randn(none, WORD), dim=-1) / 2)
    weights_N = dense_weights(examples, names)

    def loss_of_photo(example: DenseExample) -> Tensor:
        map_1Chw = features(example.key)[None]
        context = map_1Chw.mean((2, 3), keepdim=True)[:, :CONTEXT] * float(torch.rand(()) < 0.7)
        mirrored = bool(torch.rand(()) < 0.5)
        vectors = head(map_1Chw.flip(3) if mirrored else map_1Chw, context)
        vectors = vectors.flip(3) if mirrored else vectors
        return dense_loss(vectors[0].flatten(1).T, example, names, masked, nothing, scale, weights_N)

    def loss_of(chosen: Tensor) -> Tensor:
        return torch.stack([loss_of_photo(examples[i]) for i in chosen.tolist()]).mean()

    chance = photo_weights(examples)
    count = int(schedule.epochs * len(examples) / schedule.batch)
    draws = np.random.default_rng(schedule.seed).choice(len(examples), (count, schedule.batch), p=chance)
    descend(head, nothing, [torch.from_numpy(row) for row in draws], loss_of, schedule)
    return head.eval(), nothing.detach()


def dense_loss(
    vectors_PD: Tensor, example: DenseExample, names: Names, masked_NN: Tensor, nothing: Tensor,
    scale: float, weights_N: Tensor,
) -> Tensor:  # fmt: skip
    """Cross-entropy of each cell with the shares of its names. Where the photo's stuff is not annotated, a
    cell without a name may show stuff as well as none.
    """
    index = torch.tensor([names.index(name) for name in example.names], dtype=torch.long)
    shares_Pn = torch.from_numpy(example.shares_nhw).flatten(1).T
    rest_P = torch.from_numpy(example.rest_hw).flatten()
    named_PN = scale * vectors_PD @ names.vectors_ND.T
    none_P = torch.logsumexp(scale * vectors_PD @ nothing.T, 1)
    loss, total = named_PN.new_zeros(()), named_PN.new_zeros(())
    for column, name in enumerate(index.tolist()):
        cells = shares_Pn[:, column] > 0.05
        if not cells.any():
            continue
        logits = torch.cat([named_PN[cells] + masked_NN[name], none_P[cells, None]], 1)
        share = shares_Pn[cells, column] * weights_N[name]
        loss = loss + (share * (torch.logsumexp(logits, 1) - logits[:, name])).sum()
        total = total + share.sum()
    cells = rest_P > 0.05
    if cells.any():
        logits = torch.cat([named_PN[cells], none_P[cells, None]], 1)
        allowed = logits[:, -1:]
        if not example.rest_known:
            allowed = torch.cat([allowed, logits[:, :-1][:, names.stuff_N]], 1)
        share = rest_P[cells] * weights_N[-1]
        loss = loss + (share * (torch.logsumexp(logits, 1) - torch.logsumexp(allowed, 1))).sum()
        total = total + share.sum()
    return loss / total.clamp(min=1e-6)


def dense_weights(examples: Sequence[DenseExample], names: Names) -> Tensor:
    """Of each name and of none: names on few cells count more, but not without limit."""
    cells = np.ones(len(names.names) + 1)
    for example in examples:
        for name, shares in zip(example.names, example.shares_nhw, strict=True):
            cells[names.index(name)] += shares.sum()
        cells[-1] += example.rest_hw.sum()
    weights = (cells / np.median(cells)) ** -0.5
    return torch.from_numpy(weights.clip(0.1, 3.0).astype(np.float32))


def photo_weights(examples: Sequence[DenseExample]) -> NDArray[np.float64]:
    """Photos with rare names are drawn more often."""
    counts: dict[str, int] = {}
    for example in examples:
        for name in example.names:
            counts[name] = counts.get(name, 0) + 1
    rarity = np.array([max((counts[n] ** SAMPLING_POWER for n in e.names), default=0.05) for e in examples])
    return np.asarray(rarity / rarity.sum())


def descend(
    head: nn.Module, nothing: nn.Parameter, draws: Sequence[Tensor], loss_of: Callable[[Tensor], Tensor],
    schedule: Schedule,
) -> None:  # fmt: skip
    """AdamW, one cycle of the learning rate."""
    groups = [
        {"params": list(head.parameters()), "weight_decay": schedule.weight_decay},
        {"params": [nothing], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=max(2, len(draws)), pct_start=0.1
    )
    head.train()
    for step, chosen in enumerate(draws):
        loss = loss_of(chosen)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        cycle.step()
        if step % 100 == 0:
            log.info("step %d of %d: loss %.3f", step, len(draws), loss.item())


def related_pairs(names: Sequence[str], related: Mapping[str, frozenset[str]]) -> NDArray[np.bool_]:
    """(N, N): True where two names mean the same, more or less."""
    pairs = np.array([[b in related.get(a, frozenset()) or a == b for b in names] for a in names], bool)
    return pairs | pairs.T
