"""What the parity tests share: the published packages, random weights, prompts of every kind, closeness.

The published packages import torchvision and timm for parts that are not compared. Where those are not
installed, small stand-ins take their place during the import only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.networks.presets import SAM_SPEC, sam
from anymask.networks.sam import Sam
from anymask.networks.vit import ViT

TOLERANCE = 1e-4

STAND_INS: dict[str, dict[str, dict[str, Any]]] = {
    "torchvision": {
        "ops.boxes": {"batched_nms": None, "box_area": None},
        "transforms.functional": {
            "to_pil_image": Image.fromarray,
            "resize": lambda image, size_hw: image.resize(size_hw[::-1], Image.Resampling.BILINEAR),
        },
    },
    "timm": {
        "models.layers": {
            "DropPath": nn.Identity,
            "to_2tuple": lambda side: (side, side),
            "trunc_normal_": nn.init.trunc_normal_,
        },
        "models.registry": {"register_model": lambda function: function},
    },
}


@cache
def published(package: str) -> ModuleType:
    """A published package or a module of it, or a skipped test. Leaves no trace in `sys.modules`."""
    top = package.split(".")[0]
    if importlib.util.find_spec(top) is None:
        pytest.skip(f"{package} is not installed")
    before = dict(sys.modules)
    try:
        for name in STAND_INS:
            if importlib.util.find_spec(name) is None:
                sys.modules.update(stand_ins(name))
        return importlib.import_module(package)
    finally:
        for name in sys.modules.keys() - before.keys():
            if name.split(".")[0] in (top, *STAND_INS):
                del sys.modules[name]


def stand_ins(package: str) -> Iterator[tuple[str, ModuleType]]:
    for path, members in STAND_INS[package].items():
        parts = [package, *path.split(".")]
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            module = ModuleType(name)
            module.__dict__.update(members if depth == len(parts) else {"__path__": []})
            yield name, module


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random values also where networks start with zeros or ones; every layer keeps about its scale."""
    with seeded(seed), torch.no_grad():
        for module in model.modules():
            own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
            for name, tensor in own:
                randomise_tensor(module, name, tensor)
    return model.train().eval()  # some cache in eval() what depends on weights


def randomise_tensor(module: nn.Module, name: str, tensor: Tensor) -> None:
    is_norm = "Norm" in type(module).__name__
    if not tensor.is_floating_point():
        return
    if name == "running_var" or (is_norm and name == "weight"):
        tensor.uniform_(0.5, 1.5)
    elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and name == "weight":
        fan_in = tensor.shape[0] if isinstance(module, nn.ConvTranspose2d) else tensor[0].numel()
        tensor.normal_(std=fan_in**-0.5)
    elif name in ("bias", "running_mean"):
        tensor.normal_(std=0.2)
    elif "positional" not in name:
        tensor.normal_(std=0.5)


def tiny_spec(input_size: int) -> ModelSpec:
    fields = SAM_SPEC.to_dict() | {"name": "tiny", "input_size": input_size, "low_res_size": input_size // 4}
    return ModelSpec.from_dict(fields)


TINY_VIT: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}
TINY_WINDOW = 3  # does not divide the grid: windows are padded


def tiny_sam(input_size: int = 128, window: int = TINY_WINDOW) -> Sam:
    """A windowed and a global block of width 32 before a prompt encoder and a decoder of full width."""
    with seeded(0):  # what randomised() leaves alone is drawn here
        encoder = ViT(input_size=input_size, global_blocks=(1,), window_size=window, **TINY_VIT)
        network = sam(encoder, tiny_spec(input_size))
    model = randomised(network)
    assert isinstance(model, Sam)
    return model


def published_tiny_sam(model: Sam, input_size: int = 128, window: int = TINY_WINDOW) -> Any:
    """The published classes in the shape of `tiny_sam`, with the weights of `model`."""
    modeling = published("segment_anything").modeling
    grid = (input_size // 16, input_size // 16)
    reference = modeling.Sam(
        modeling.ImageEncoderViT(
            img_size=input_size,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=(1,),
            window_size=window,
            out_chans=256,
            norm_layer=lambda dim: nn.LayerNorm(dim, eps=1e-6),
            **TINY_VIT,
        ),
        modeling.PromptEncoder(256, grid, (input_size, input_size), 16),
        modeling.MaskDecoder(
            transformer_dim=256,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
        ),
    )
    reference.load_state_dict(model.state_dict(), strict=True)
    return reference.eval()


PublishedPrompts = tuple[tuple[Tensor, Tensor] | None, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class PromptCase:
    """One mix of prompts, as the published prompt encoder and as `Sam.decode` take it."""

    name: str
    prompts: int
    labels: Sequence[int]
    box: bool = False
    mask: bool = False

    def published_arguments(self, size: int) -> PublishedPrompts:
        with seeded(len(self.name)):
            xy = torch.rand(self.prompts, len(self.labels), 2) * size
            corners = torch.rand(self.prompts, 2, 2).sort(dim=1).values * size
            masks = torch.randn(self.prompts, 1, size // 4, size // 4) * 5
        points = (xy, torch.tensor(self.labels).expand(self.prompts, -1)) if self.labels else None
        return points, corners.flatten(1) if self.box else None, masks if self.mask else None

    def decode_arguments(self, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        points, boxes, masks = self.published_arguments(size)
        xy, labels = points or (torch.zeros(self.prompts, 0, 2), torch.zeros(self.prompts, 0))
        if boxes is not None:
            extra_xy, extra = boxes.reshape(-1, 2, 2), torch.tensor([2, 3])
        elif points is not None:
            extra_xy, extra = torch.zeros(self.prompts, 1, 2), torch.tensor([-1])
        else:
            extra_xy, extra = torch.zeros(self.prompts, 0, 2), torch.zeros(0)
        labels = torch.cat([labels, extra.expand(self.prompts, -1)], dim=1)
        blank = torch.full((self.prompts, 1, size // 4, size // 4), torch.nan)
        has_mask = torch.full((self.prompts,), float(self.mask))
        return torch.cat([xy, extra_xy], dim=1), labels, blank if masks is None else masks, has_mask


PROMPT_CASES = (
    PromptCase("one point", 1, [1]),
    PromptCase("points", 1, [1, 0, 1]),
    PromptCase("box", 1, [], box=True),
    PromptCase("points and box", 1, [1, 0], box=True),
    PromptCase("mask", 1, [], mask=True),
    PromptCase("mask and points", 1, [1, 0], mask=True),
    PromptCase("everything", 1, [0, 1, 1], box=True, mask=True),
    PromptCase("several points", 5, [1]),
    PromptCase("several boxes", 3, [], box=True),
    PromptCase("several of everything", 3, [1, 0], box=True, mask=True),
    PromptCase("many points", 1, [1, 0] * 10),
)


def assert_same_masks(our_logits: Tensor, their_logits: Tensor) -> None:
    """IoU of at least 0.999 between the masks, over all prompts and slots."""
    ours, theirs = our_logits > 0, their_logits > 0
    assert theirs.any()
    assert not theirs.all()
    assert (ours & theirs).sum() >= 0.999 * (ours | theirs).sum()


def assert_parity(ours: Tensor, theirs: Tensor, tolerance: float = TOLERANCE) -> None:
    """Relative difference, as a whole and at the worst place, below `tolerance`; what is compared varies."""
    assert ours.shape == theirs.shape
    if not theirs.numel():
        return
    assert theirs.std() > 1e-3, "the reference is flat: nothing is compared"
    difference = (ours - theirs).detach().double()
    whole = float(difference.norm() / theirs.detach().double().norm())
    worst = float(difference.abs().max() / theirs.detach().abs().max())
    print(f"relative difference {whole:.1e}, worst place {worst:.1e}")
    assert max(whole, worst) < tolerance
