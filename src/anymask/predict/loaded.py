"""LoadedModel: a network ready to be asked, with what its card says about asking it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from anymask.backends.base import Backend
from anymask.backends.registry import open_backend
from anymask.core.spec import ModelSpec
from anymask.errors import BadOption, WeightsError
from anymask.hub.card import HEAD_PARTS, Card, ModelFiles, read_card
from anymask.hub.catalog import find_model
from anymask.predict.detectors import BoxDetector, EdgeDetector
from anymask.predict.pipeline import Step, steps_of

MAX_THREADS = 1024


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """Weights that are loaded and ready. Safe to share between threads.

    `fingerprint` names the weights; it is empty where nothing is known about them. `postprocess`: steps of
    every answer, see `pipeline.POSTPROCESS`. `refines`: the model is at its best with a second pass, see
    `refine`. `temperature`: see `apply_temperature`. `automatic`: thresholds and probabilities of automatic
    masks that were calibrated for these weights. `box_path`, `edge_path`: graphs of the detectors.
    `names_path`, `names_table_path`: of the naming model, see `words/naming.py`.
    `opened_as`: name, backend and threads with which the same model is opened elsewhere.
    """

    backend: Backend
    fingerprint: str = ""
    postprocess: tuple[Step, ...] = ()
    refines: bool = False
    temperature: float = 1.0
    automatic: Mapping[str, Any] = field(default_factory=dict)
    box_path: Path | None = None
    edge_path: Path | None = None
    names_path: Path | None = None
    names_table_path: Path | None = None
    threads: int = 1
    opened_as: tuple[str, str, int] | None = None

    @property
    def spec(self) -> ModelSpec:
        return self.backend.spec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def workers(self) -> int:
        """Calls that are under way at a time for automatic masks: those of a small network share no core."""
        return 1 if self.box_path is None else self.threads

    @cached_property
    def box_detector(self) -> BoxDetector:
        """Raises BadOption for a model without a box head."""
        if self.box_path is None:
            raise BadOption(f"model: {self.name} does not detect boxes: it has no <stem>.boxes.onnx")
        return BoxDetector(self.box_path, self.threads)

    @cached_property
    def edge_detector(self) -> EdgeDetector:
        """Raises BadOption for a model without an edge head."""
        if self.edge_path is None:
            raise BadOption(f"model: {self.name} does not detect edges: it has no <stem>.edges.onnx")
        return EdgeDetector(self.edge_path, self.threads)

    def __repr__(self) -> str:
        heads = [name for name, path in (("boxes", self.box_path), ("edges", self.edge_path)) if path]
        facts = [self.name, type(self.backend).__name__, *heads, *(["refines"] if self.refines else [])]
        return f"{type(self).__name__}({', '.join(facts)})"


def model_facts(name: str, backend: str, threads: int) -> dict[str, Any]:
    """The fields of the `LoadedModel` of that name or path; `auto` and 0 give way to the settings.

    Raises ModelNotFound, WeightsError, MissingExtra, BadOption.
    """
    from anymask.settings import get_settings

    settings = get_settings()
    backend, threads = settings.backend if backend == "auto" else backend, _threads(threads, settings.threads)
    facts: dict[str, Any] = {"threads": threads, "opened_as": (name, backend, threads)}
    if "disk" in (name, backend):
        return {**facts, "backend": open_backend("disk", Path("disk"))}
    path = find_model(name)
    facts |= {"backend": open_backend(backend, path, threads)}
    return {**facts, **(card_facts(path) if ModelFiles.of(path).card.is_file() else {})}


def card_facts(path: Path) -> dict[str, Any]:
    """The fields of a `LoadedModel` that its card and the files beside it tell.

    Raises ModelNotFound, WeightsError.
    """
    heads = {part: file for part, file in ModelFiles.of(path).parts() if part in HEAD_PARTS}
    return {
        **_told_by(read_card(path)),
        "box_path": heads.get("boxes"),
        "edge_path": heads.get("edges"),
        "names_path": heads.get("names"),
        "names_table_path": heads.get("names_table"),
    }


def _threads(wanted: int, default: int) -> int:
    if not 0 <= wanted <= MAX_THREADS:
        raise BadOption(f"threads: expected 0 (all cores) to {MAX_THREADS}, got {wanted}")
    return wanted or default or os.cpu_count() or 1


def _told_by(card: Card) -> dict[str, Any]:
    refines = card.facts.get("refine", False)
    if not isinstance(refines, bool):
        raise WeightsError(f"refine on the card: expected true or false, got {refines!r}")
    return {
        "fingerprint": card.fingerprint,
        "postprocess": steps_of(card.facts.get("postprocess", [])),
        "refines": refines,
        "temperature": card.temperature,
        "automatic": card.facts.get("automatic", {}),
    }
