"""What keeps an accelerator busy: small numbers sent without waiting, many small operations joined to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from shutil import which
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._triton import has_triton

C_COMPILERS = ("cc", "gcc", "clang")


def sent(values: np.ndarray | Sequence[Any], device: torch.device) -> Tensor:
    """On the device, which is not waited for."""
    return torch.as_tensor(values).to(device, non_blocking=True)


def joined(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` of tensors as one kernel or a few, compiled at its first use, on an accelerator that can;
    elsewhere as it is written.
    """
    compiled = cache(lambda: torch.compile(function, dynamic=True))

    @wraps(function)
    def called(first: Tensor, *others: Any) -> Tensor:
        return compiled()(first, *others) if can_join(first) else function(first, *others)

    return called


def can_join(beside: Tensor) -> bool:
    """Kernels are compiled by Triton, which calls a C compiler."""
    return beside.device.type == "cuda" and has_triton() and any(map(which, C_COMPILERS))
