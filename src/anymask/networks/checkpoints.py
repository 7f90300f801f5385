"""Weights files: published checkpoints and safetensors to networks, and tensors to safetensors.

Pickles are read weights-only: a file that holds anything but tensors is refused, never run. Every failure to
read is a WeightsError that says which file and what is wrong with it.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from anymask.errors import StorageError, WeightsError, mapped
from anymask.files import writing_atomically
from anymask.networks.presets import build
from anymask.networks.sam import Sam
from anymask.networks.segmenter import Segmenter
from anymask.networks.transformers_names import from_transformers_state, is_transformers_state

State = dict[str, Tensor]

PICKLE_MAGIC = (b"PK\x03\x04", b"\x80")  # a zip archive of pickles, a bare pickle
UNUSED = ("image_encoder.head.", "image_encoder.norm_head.")  # MobileSAM's classifier
POS_EMBED = "image_encoder.pos_embed"
TEXT = "prompt_encoder.text_projection.weight"  # of the recipe text_paper
VIT_WIDTHS = {768: "sam_vit_b", 1024: "sam_vit_l", 1280: "sam_vit_h"}
LISTED_KEYS = 3


def load_published(path: str | Path, name: str = "auto") -> Segmenter:
    """The network `name` with the weights of a file: published, of the transformers library, or safetensors.

    "auto" recognises the network by its tensors. Raises WeightsError when the file is missing, damaged, no
    tensors-only file, or of another network.
    """
    path = Path(path)
    state = read_published(path)
    return build_with(state, network_of(state, path) if name == "auto" else name, path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically. Raises StorageError."""
    with mapped(SafetensorError, StorageError, f"cannot write {path}"), writing_atomically(path) as file:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, file.name, metadata)


def read_published(path: Path) -> State:
    """The tensors of a file under the published names, without those no network uses."""
    state = read_state(path)
    if is_transformers_state(state):
        state = from_transformers_state(state)
    return {key: tensor for key, tensor in state.items() if not key.startswith(UNUSED)}


def read_state(path: Path) -> State:
    """All tensors of a safetensors file or of a tensors-only pickle, by name."""
    with mapped((OSError, SafetensorError), WeightsError, f"cannot read weights from {path}"):
        with path.open("rb") as file:
            pickled = file.read(4).startswith(PICKLE_MAGIC)
        return read_pickle(path) if pickled else load_file(path)


def read_pickle(path: Path) -> State:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # torch on old pickle protocols
            # Mapped, not copied: 2.5 GB are not held in memory twice. Only the zip format can be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path} is damaged, or holds more than tensors: refused") from error
    except Exception as error:  # a damaged pickle trips its reader in any way
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} is damaged or incomplete: {first_line}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"expected a table of tensors in {path}, found {type(state).__name__}")
    return dict(state)


def network_of(state: State, path: Path) -> str:
    """The preset of a state dict, by tensors only that network has."""
    if POS_EMBED in state and state[POS_EMBED].shape[-1] in VIT_WIDTHS:
        return VIT_WIDTHS[state[POS_EMBED].shape[-1]]
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "mobile_sam"
    if any(key.startswith("image_encoder.trunk.") for key in state):
        return "lite"
    raise WeightsError(f"{path} holds the weights of no known network")


def build_with(state: State, name: str, path: Path) -> Segmenter:
    """A network in evaluation mode that has exactly these weights, in the network's own precision."""
    with torch.device("meta"):  # no random weights, no memory: every tensor is about to be replaced
        model = build(name)
        if TEXT in state and isinstance(model, Sam):
            model.prompt_encoder.add_text(state[TEXT].shape[-1])
    assert isinstance(model, nn.Module)
    expected = model.state_dict()
    check_keys(expected, state, name, path)
    model.load_state_dict({key: state[key].to(expected[key].dtype) for key in expected}, assign=True)
    return model.eval()


def check_keys(expected: Mapping[str, Tensor], state: State, name: str, path: Path) -> None:
    shapes = (key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape)
    faults = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": sorted(shapes),
    }
    if found := [f"{len(keys)} tensors {fault} ({listed(keys)})" for fault, keys in faults.items() if keys]:
        raise WeightsError(f"{path} does not fit {name}: {'; '.join(found)}")


def listed(keys: list[str]) -> str:
    return ", ".join(keys[:LISTED_KEYS]) + (", ..." if len(keys) > LISTED_KEYS else "")
