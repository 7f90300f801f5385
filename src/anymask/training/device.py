"""Keeping an accelerator busy: copies that do not wait, and `torch.compile` where it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from shutil import which
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._triton import has_triton


def to_device(values: np.ndarray | Sequence[Any], device: torch.device) -> Tensor:
    """A non-blocking copy."""
    return torch.as_tensor(values).to(device, non_blocking=True)


def compiled_on_gpu(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorator: `torch.compile` at the first use on a CUDA device that can; elsewhere eager."""
    compiled = cache(lambda: torch.compile(function, dynamic=True))

    @wraps(function)
    def called(first: Tensor, *others: Any) -> Tensor:
        return compiled()(first, *others) if can_compile(first) else function(first, *others)

    return called


def can_compile(like: Tensor) -> bool:
    """Kernels are compiled by Triton, which calls a C compiler."""
    return like.device.type == "cuda" and has_triton() and any(map(which, ("cc", "gcc", "clang")))
