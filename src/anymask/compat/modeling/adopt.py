"""Networks of this package under the published names: the same weights in a class with another interface."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def adopted(kind: type[Module], module: nn.Module, **attributes: Any) -> Module:
    """`module` as a `kind`, a subclass of its class, not by its constructor; weights are shared."""
    new = kind.__new__(kind)
    nn.Module.__init__(new)
    plain = {name: value for name, value in vars(module).items() if name not in vars(new)}
    vars(new).update(plain)
    for name, parameter in module.named_parameters(recurse=False):
        new.register_parameter(name, parameter)
    for name, buffer in module.named_buffers(recurse=False):
        new.register_buffer(name, buffer)
    for name, child in module.named_children():
        new.add_module(name, child)
    for name, value in attributes.items():
        setattr(new, name, value)
    return new.train(module.training)


def only(argument: str, value: Any, expected: Any) -> None:
    """Raises ValueError for an argument of a published constructor that the networks here do not have."""
    if value != expected:
        raise ValueError(f"{argument}: anymask.compat builds networks with {expected!r} only, got {value!r}")
