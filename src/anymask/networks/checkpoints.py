"""Weights in files: the published checkpoints in, safetensors with a JSON card out and in.

It knows files and parameter names, not images or inference. Pickles are read weights-only: a file that holds
anything but tensors is refused, never run. Every failure is a WeightsError that says which file and what is
wrong with it.

The card beside `<stem>.safetensors` is `<stem>.json`:
    {"network": preset name, "spec": ModelSpec fields, "weights": {"sha256", "bytes", "parameters"},
     "source": {"file", "sha256"} where the weights were converted}
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.errors import StorageError, WeightsError
from anymask.networks.presets import build
from anymask.networks.segmenter import Segmenter
from anymask.networks.transformers_names import from_transformers_state, is_transformers_state

State = dict[str, Tensor]

PICKLE_MAGIC = (b"PK\x03\x04", b"\x80")  # a zip archive of pickles, a bare pickle
UNUSED = ("image_encoder.head.", "image_encoder.norm_head.")  # MobileSAM's classifier, read by nobody
POS_EMBED = "image_encoder.pos_embed"
VIT_WIDTHS = {768: "sam_vit_b", 1024: "sam_vit_l", 1280: "sam_vit_h"}
LISTED_KEYS = 3


def load_published(path: str | Path, name: str) -> Segmenter:
    """The network `name` with the weights of a published file, or of one of the transformers library.

    Raises WeightsError when the file is missing, damaged, no tensors-only file, or of another network.
    """
    return build_with(read_published(Path(path)), name, Path(path))


def load_weights(path: str | Path) -> Segmenter:
    """The network of a safetensors file. Its card, if there is one, says which network, and must match.

    Raises WeightsError as `load_published` does, and when file and card differ.
    """
    path = Path(path)
    card = read_card(path)
    state = read_published(path)
    model = build_with(state, card.get("network") or network_of(state, path), path)
    if "spec" in card:
        model.spec = spec_of(card, model.spec, path)
    return model


def convert_checkpoint(source: str | Path, target: str | Path, name: str = "auto") -> Path:
    """Rewrite a published checkpoint as safetensors with a card; returns the path of the card.

    Raises WeightsError as `load_published` does, StorageError when the files cannot be written.
    """
    source, target = Path(source), Path(target)
    state = read_published(source)
    name = network_of(state, source) if name == "auto" else name
    spec = build_with(state, name, source).spec
    origin = {"file": source.name, "sha256": sha256_of(source)}
    return save_weights(state, target, name, spec, {"source": origin})


def save_weights(
    state: Mapping[str, Tensor],
    target: str | Path,
    network: str,
    spec: ModelSpec,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write weights and their card, each in one step; `facts` are added to the card. Returns the card's path.

    Raises StorageError when the files cannot be written.
    """
    target = Path(target)
    partial, card_path = target.with_name(target.name + ".partial"), target.with_suffix(".json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}, partial)
        card = {
            "network": network,
            "spec": spec.to_dict(),
            "weights": facts_of(partial, state),
            **(facts or {}),
        }
        os.replace(partial, target)
        partial.write_text(json.dumps(card, indent=2) + "\n", "utf-8")
        os.replace(partial, card_path)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {target}: {first_line(error)}") from error
    finally:
        partial.unlink(missing_ok=True)
    return card_path


def facts_of(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    size = sum(tensor.numel() for tensor in state.values())
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size, "parameters": size}


def read_published(path: Path) -> State:
    """The tensors of a file under the published names, without those no network uses."""
    state = read_state(path)
    if is_transformers_state(state):
        state = from_transformers_state(state)
    return {key: tensor for key, tensor in state.items() if not key.startswith(UNUSED)}


def read_state(path: Path) -> State:
    """All tensors of a safetensors file or of a tensors-only pickle, by name."""
    try:
        with path.open("rb") as file:
            pickled = file.read(4).startswith(PICKLE_MAGIC)
        return read_pickle(path) if pickled else load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read weights from {path}: {error}") from error


def read_pickle(path: Path) -> State:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # torch on old pickle protocols
            # Mapped, not copied: 2.5 GB are not held in memory twice. Only the zip format can be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path} is damaged, or holds more than tensors: refused") from error
    except Exception as error:  # a damaged pickle trips its reader in any way
        raise WeightsError(f"{path} is damaged or incomplete: {first_line(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"expected a table of tensors in {path}, found {type(state).__name__}")
    return dict(state)


def network_of(state: State, path: Path) -> str:
    """Which preset a state belongs to, by tensors only that network has."""
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
    told = [f"{len(keys)} tensors {fault} ({listed(keys)})" for fault, keys in faults.items() if keys]
    if told:
        raise WeightsError(f"{path} does not fit {name}: {'; '.join(told)}")


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a safetensors file, {} where there is none. The file must have the hash on its card."""
    card_path = path.with_suffix(".json")
    if not card_path.is_file():
        return {}
    try:
        card = json.loads(card_path.read_text("utf-8"))
        expected = card.get("weights", {}).get("sha256")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"cannot read the card {card_path}: {first_line(error)}") from error
    if expected and sha256_of(path) != expected:
        raise WeightsError(f"{path} is damaged: its SHA-256 is not the one on its card {card_path.name}")
    return dict(card)


def spec_of(card: Mapping[str, Any], built: ModelSpec, path: Path) -> ModelSpec:
    """The card's spec: it may have a name of its own, not another family or frame. Which parts of the frame
    can be encoded alone, the network knows.
    """
    try:
        spec = ModelSpec.from_dict(card["spec"])
    except (TypeError, AttributeError) as error:
        raise WeightsError(f"the card of {path} has no valid spec: {error}") from error
    if (spec.family, spec.input_size) != (built.family, built.input_size):
        raise WeightsError(
            f"the card of {path} says {spec.family} at {spec.input_size} pixels, "
            f"the network is {built.family} at {built.input_size}"
        )
    return replace(spec, frame_multiple=built.frame_multiple)


def sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read weights from {path}: {error}") from error


def listed(keys: list[str]) -> str:
    return ", ".join(keys[:LISTED_KEYS]) + (", ..." if len(keys) > LISTED_KEYS else "")


def first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
