"""The head for the photo as a whole: which names are there, learned where absent names are known too.

Its inputs are a mean and a maximum over the photo, standardised and reduced to principal components. All of
it is linear, so that several runs average to one layer.
Legend: P photos, S numbers of a summary, C components, N names, D numbers of a word vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.data.record import Record
from anymask.export.naming import as_stored
from anymask.networks.naming import WORD, NamingNetwork, PhotoHead, photo_summary
from anymask.training.words.cache import imagenet_trunk
from anymask.training.words.fit import Names, Schedule, descend
from anymask.words.naming import network_input

COMPONENTS, DROPOUT, RUNS = 256, 0.3, 3
GAIN = 4.0  # of the layer that learns, so that its step fits logits
LOSS_WEIGHT = 10.0  # nearly all names are absent: the mean over names is small

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """`asked_PN`: the name's absence would be known. `photo_P`: numbers of the records."""

    summaries_PS: Floats
    asked_PN: NDArray[np.bool_]
    there_PN: NDArray[np.bool_]
    names_N: tuple[str, ...]
    photo_P: NDArray[np.int64]

    def without(self, photos: Sequence[int], names: Sequence[str]) -> Photos:
        rows = ~np.isin(self.photo_P, list(photos))
        columns = np.array([name not in names for name in self.names_N], bool)
        asked_PN, there_PN = (part[rows][:, columns] for part in (self.asked_PN, self.there_PN))
        kept = tuple(name for name in self.names_N if name not in names)
        return Photos(self.summaries_PS[rows], asked_PN, there_PN, kept, self.photo_P[rows])


def photos_of(
    records: Sequence[Record], asked: Sequence[Sequence[str]], there: Sequence[Sequence[str]]
) -> Photos:
    """`asked`, `there`: of each record; those without are left out."""
    chosen = [number for number, names in enumerate(asked) if names]
    names = sorted({name for number in chosen for name in asked[number]})
    summaries_PS = summaries_of([records[number] for number in chosen])
    known, present = (
        np.array([[name in of[number] for name in names] for number in chosen], bool) for of in (asked, there)
    )
    return Photos(summaries_PS, known, present & known, tuple(names), np.array(chosen))


@torch.no_grad()
def summaries_of(records: Sequence[Record]) -> Floats:
    """(P, S), by the trunk as it is stored, in 8 bits: here one sum decides."""
    network = NamingNetwork()
    network.trunk = imagenet_trunk()
    trunk, found = as_stored(network, True).trunk, []
    for record in records:
        _, t16, t32 = trunk(torch.from_numpy(network_input(record.read_pixels())[1]))
        found.append(photo_summary(t16, t32)[0].numpy())
    return np.asarray(np.stack(found), np.float32)


def fit_photo_head(photos: Photos, names: Names, schedule: Schedule) -> tuple[PhotoHead, Tensor]:
    """The mean of some runs, and the biases of all `names`: NaN for those that no photo asks for."""
    photos = photos.without([], [name for name in photos.names_N if name not in names.names])
    mean_S, reduce_SC = reduction(photos.summaries_PS)
    inputs_PC = torch.from_numpy(((photos.summaries_PS - mean_S) @ reduce_SC).astype(np.float32))
    columns = [names.names.index(name) for name in photos.names_N]
    vectors_ND = names.vectors_ND[columns]
    runs = [fitted(inputs_PC, photos, vectors_ND, schedule, schedule.seed + run) for run in range(RUNS)]
    weight_DC, bias_D, bias_N = (torch.stack(parts).mean(0) for parts in zip(*runs, strict=True))
    head, weight_DS = PhotoHead(), weight_DC @ torch.from_numpy(reduce_SC.T.astype(np.float32))
    with torch.no_grad():
        head.linear.weight.copy_(weight_DS)
        head.linear.bias.copy_(bias_D - weight_DS @ torch.from_numpy(mean_S.astype(np.float32)))
    biases = torch.full((len(names.names),), torch.nan)
    biases[columns] = bias_N
    return head.eval(), biases


def reduction(summaries_PS: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and (S, C): standardised, then components divided by the root of their deviation."""
    sample = summaries_PS.astype(np.float64)
    mean, deviation = sample.mean(0), sample.std(0) + 1e-3
    _, _, components = np.linalg.svd((sample - mean) / deviation, full_matrices=False)
    reduce_SC = components[:COMPONENTS].T / deviation[:, None]
    reduced = (sample - mean) @ reduce_SC
    reduce_SC = reduce_SC / np.sqrt(reduced.std(0).clip(1e-9))
    return mean, reduce_SC / ((sample - mean) @ reduce_SC).std()


def fitted(
    inputs_PC: Tensor, photos: Photos, vectors_ND: Tensor, schedule: Schedule, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Weight, bias, and a bias for each name, of one run: binary cross-entropy of what is known."""
    torch.manual_seed(seed)
    asked, there = (torch.from_numpy(part).float() for part in (photos.asked_PN, photos.there_PN))
    layer = nn.Linear(inputs_PC.shape[1], WORD)
    rate_N = nn.Parameter(((there.sum(0) + 0.5) / asked.sum(0)).log())
    steps = max(2, int(schedule.epochs * len(inputs_PC) / schedule.batch))

    def loss_of(_: int) -> Tensor:
        rows = torch.randint(len(inputs_PC), (schedule.batch,))
        logits = GAIN * layer(F.dropout(inputs_PC[rows], DROPOUT)) @ vectors_ND.T + rate_N
        losses = F.binary_cross_entropy_with_logits(logits, there[rows], reduction="none")
        return LOSS_WEIGHT * (losses * asked[rows]).sum() / asked[rows].sum()

    descend(layer, rate_N, range(steps), loss_of, schedule)
    return GAIN * layer.weight.detach(), GAIN * layer.bias.detach(), rate_N.detach()
