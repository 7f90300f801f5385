"""Fits the two heads to word vectors that stay as they are: cosine softmax over all names that were seen.

A name does not compete with its synonyms, hypernyms and hyponyms: "animal" is no mistake for a dog.
Legend: E examples, F features, C components, N names, n of a photo, D numbers of a word vector, P cells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.naming import CONTEXT, REDUCED, WORD, DenseHead, RegionHead
from anymask.training.words.examples import NONE, UNLABELLED, Cells, Regions

log = logging.getLogger(__name__)
Draw = TypeVar("Draw")

NEVER = -1e4  # added to the logit of a name that must not compete
NONE_WEIGHT = 2.0  # how much more often than that examples of none are drawn
SAMPLING_POWER = -0.6  # of a name's count: rare names are drawn more often than they occur


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Principal components of region features, each divided by the root of its deviation."""

    mean_F: Tensor
    components_FC: Tensor

    def __call__(self, features_EF: Tensor) -> Tensor:
        return (features_EF - self.mean_F) @ self.components_FC


@dataclass(frozen=True, eq=False)
class Names:
    """The names to learn: `vectors_ND` of unit length, `competes_NN` False for related names."""

    names: tuple[str, ...]
    vectors_ND: Tensor
    competes_NN: Tensor
    stuff_N: Tensor

    def index(self, name: str) -> int:
        """The number of names for "none of them"."""
        return len(self.names) if name == NONE else self.names.index(name)

    @cached_property
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


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What the heads are asked: the number of the right name, or that of none, for each example.
    `unlabelled_E`: it may be stuff as well as none.
    """

    right_E: Tensor
    unlabelled_E: Tensor
    weights_E: NDArray[np.float64]

    @classmethod
    def of(cls, labels_E: Sequence[str], names: Names) -> Target:
        unlabelled = np.array([label == UNLABELLED for label in labels_E])
        right = np.array([names.index(NONE if label == UNLABELLED else label) for label in labels_E])
        weights = np.bincount(right, minlength=len(names.names) + 1).astype(float)[right] ** SAMPLING_POWER
        weights[right == len(names.names)] *= NONE_WEIGHT
        return cls(torch.from_numpy(right), torch.from_numpy(unlabelled), weights / weights.sum())

    def draws(self, schedule: Schedule) -> list[Tensor]:
        """Rows of examples, for each step."""
        steps = int(schedule.epochs * len(self.right_E) / schedule.batch)
        rng = np.random.default_rng(schedule.seed)
        drawn = rng.choice(len(self.right_E), (steps, schedule.batch), p=self.weights_E)
        return [torch.from_numpy(row) for row in drawn]


def fit_region_head(
    regions: Regions, components: Components, names: Names, scale: float, none: int | Tensor,
    schedule: Schedule,
) -> tuple[RegionHead, Tensor]:  # fmt: skip
    """The head and its vectors for "none of the names", (none, D). `none`: how many, or those of another
    head, which then stay: the mean of the vectors of both heads can be compared with them.
    """
    torch.manual_seed(schedule.seed)
    masks, boxes, whole = region_components(regions, components)
    head, nothing, target = RegionHead(), none_vectors(none), Target.of(regions.names_E.tolist(), names)

    def loss_of(rows: Tensor) -> Tensor:
        by_box = torch.rand(len(rows), 1) < 0.5
        context = whole[rows] * (torch.rand(len(rows), 1) < 0.5)
        vectors = head(torch.where(by_box, boxes[rows], masks[rows]), context)
        return naming_loss(vectors, rows, target, names, nothing, scale)

    descend(head, nothing, target.draws(schedule), loss_of, schedule)
    return head.eval(), nothing.detach()


def fit_dense_head(
    cells: Cells, names: Names, scale: float, none: int, schedule: Schedule
) -> tuple[DenseHead, Tensor]:
    """As `fit_region_head`, on cells."""
    torch.manual_seed(schedule.seed)
    own, near, whole = (torch.from_numpy(part) for part in (cells.own_EC, cells.near_EC, cells.whole_EC))
    head, nothing, target = DenseHead(), none_vectors(none), Target.of(cells.names_E.tolist(), names)

    def loss_of(rows: Tensor) -> Tensor:
        context = whole[rows].float() * (torch.rand(len(rows), 1) < 0.7)
        parts = (part[:, :, None, None] for part in (own[rows].float(), near[rows].float(), context))
        return naming_loss(head(*parts)[:, :, 0, 0], rows, target, names, nothing, scale)

    descend(head, nothing, target.draws(schedule), loss_of, schedule)
    return head.eval(), nothing.detach()


def none_vectors(count: int | Tensor) -> nn.Parameter:
    """New ones, or given ones that are not learned."""
    if isinstance(count, Tensor):
        return nn.Parameter(count.clone(), requires_grad=False)
    return nn.Parameter(F.normalize(torch.randn(count, WORD), dim=-1) / 2)


def naming_loss(
    vectors_BD: Tensor, rows: Tensor, target: Target, names: Names, nothing: Tensor, scale: float
) -> Tensor:
    """Cross-entropy over all names and none."""
    right = target.right_E[rows]
    named = scale * vectors_BD @ names.vectors_ND.T + names.masked_NN[right]
    none = torch.logsumexp(scale * vectors_BD @ nothing.T, 1, keepdim=True)
    logits = torch.cat([named, none], 1)
    gained = logits.gather(1, right[:, None])[:, 0]
    stuff = torch.where(target.unlabelled_E[rows, None] & names.stuff_N, named, -torch.inf)
    gained = torch.logaddexp(gained, torch.logsumexp(stuff, 1))
    return (torch.logsumexp(logits, 1) - gained).mean()


def descend(
    head: nn.Module, free: nn.Parameter, draws: Sequence[Draw], loss_of: Callable[[Draw], Tensor],
    schedule: Schedule,
) -> None:  # fmt: skip
    """AdamW, one cycle of the learning rate. `free`: a parameter without weight decay."""
    groups = [
        {"params": list(head.parameters()), "weight_decay": schedule.weight_decay},
        {"params": [free], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=max(2, len(draws)), pct_start=0.1
    )
    head.train()
    for step, chosen in enumerate(draws):
        loss = loss_of(chosen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()
        if step % 100 == 0:
            log.info("step %d of %d: loss %.3f", step, len(draws), loss.item())
