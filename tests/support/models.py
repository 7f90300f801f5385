"""Small models in files: a tiny network of the published shape, exported once, and the default model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anymask
from anymask.api import Model


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """90 x 120 pixels with shapes of several colours."""
    rng = np.random.default_rng(0)
    pixels = np.full((90, 120, 3), 60, np.uint8)
    pixels[20:60, 30:80] = (200, 40, 40)
    pixels[50:85, 70:115] = (30, 160, 220)
    return (pixels + rng.integers(0, 30, pixels.shape)).astype(np.uint8)


@pytest.fixture(scope="session")
def model() -> Model:
    """The default one, with its heads."""
    found = anymask.load()
    assert found.box_path and found.edge_path
    return found


@pytest.fixture(scope="session")
def tiny_network() -> Any:
    pytest.importorskip("torch")
    from sam_references import tiny_sam

    return tiny_sam()


@pytest.fixture(scope="session")
def tiny_card(tiny_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the exported tiny network."""
    pytest.importorskip("onnxscript")
    from anymask.export.graphs import export_model

    return export_model(tiny_network, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def default_card() -> Path:
    from anymask.hub.catalog import EMBEDDED_FOLDER

    card = EMBEDDED_FOLDER / "lite.json"
    if not card.exists():
        pytest.skip("no weights in this checkout")
    return card
