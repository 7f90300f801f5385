"""Compiled functions give the eager results."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from anymask.training import device
from anymask.training.device import compiled_on_gpu, to_device


def test_elsewhere_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    assert compiled_on_gpu(torch.square)(torch.tensor([3.0])).tolist() == [9]


def test_on_an_accelerator_it_is_compiled_once_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []

    def compile_(function: object, dynamic: bool) -> object:
        compiled.append((function, dynamic))
        return function

    monkeypatch.setattr(device, "can_compile", lambda _: True)
    monkeypatch.setattr(torch, "compile", compile_)
    square = compiled_on_gpu(torch.square)
    assert [square(torch.full((n,), 2.0)).sum().item() for n in (1, 3)] == [4, 12]
    assert compiled == [(torch.square, True)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiled_losses_and_distances_are_those_as_written() -> None:
    from anymask.training.tasks.distance import distances_opencv, distances_torch
    from anymask.training.tasks.losses import dice, normalised_focal

    torch.manual_seed(0)
    logits, target = torch.randn(3, 4, 20, 20), torch.rand(3, 1, 20, 20) > 0.5
    for loss in (normalised_focal, dice):
        assert torch.allclose(loss(logits.cuda(), target.cuda()).cpu(), loss(logits, target), atol=1e-5)
    padded = torch.nn.functional.pad(target[:, 0], (1, 1, 1, 1))
    assert torch.allclose(distances_torch(padded.cuda()).cpu(), distances_opencv(padded), atol=1e-4)


def test_numbers_arrive() -> None:
    assert to_device([(1, 2), (3, 4)], torch.device("cpu")).tolist() == [[1, 2], [3, 4]]
