"""The exported naming model answers as the network it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch

from anymask.core.mask import Mask
from anymask.export.naming import NamingParts, export_naming, naming_modules
from anymask.hub.card import ModelFiles, check_files, read_card
from anymask.networks.naming import CLASSES, CONTEXT, WORD, NamingNetwork, RegionHead
from anymask.words.naming import NamingModel, network_input, unit
from anymask.words.regions import mask_weights, pooled

pytestmark = pytest.mark.slow
NAMES = ("dog", "cat", "grass")
FACTS = {"scale": 12.0, "dense_scale": 12.0, "class_scale": 12.0}


def unit_rows(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture(scope="module")
def parts() -> NamingParts:
    torch.manual_seed(3)
    none = unit_rows(2, WORD), unit_rows(2, WORD)
    network, heads = NamingNetwork().eval(), [RegionHead().eval() for _ in range(2)]
    return NamingParts(
        network,
        heads,
        NAMES,
        {"dog": ["cat"]},
        unit_rows(3, WORD),
        unit_rows(CLASSES, WORD),
        *none,
        torch.tensor([-1.0, -2.0, torch.nan]),
        FACTS,
    )


@pytest.fixture(scope="module")
def card(parts: NamingParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("names") / "small.json"
    path.write_text(json.dumps({"spec": read_card(Path(lite_card())).spec.to_dict()}), "utf-8")
    export_naming(parts, path)
    yield path


def lite_card() -> str:
    import anymask

    return str(Path(anymask.__file__).parent / "weights" / "lite.json")


def test_the_files_are_on_the_card_and_undamaged(card: Path) -> None:
    check_files(card)
    facts = read_card(card).facts
    assert facts["names"]["bytes"] < 8_000_000 and facts["names_table"]["bytes"] < 3_000_000


def test_graph_and_heads_are_those_of_the_network(parts: NamingParts, card: Path, photo: np.ndarray) -> None:
    files = ModelFiles.of(card)
    namer = NamingModel(files.names, files.names_table)
    network, heads = naming_modules(parts)
    features = namer.look(photo)
    frame, image = network_input(photo)
    with torch.no_grad():
        maps = [one[0].numpy() for one in network(torch.from_numpy(image))]
    got = (features.features_Chw, features.dense_Dhw, features.classes_Khw, features.photo_D)
    for ours, theirs in zip(got, maps, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3 * np.abs(theirs).max())
    mask = Mask.from_array(photo[..., 0] > 150)
    weights = mask_weights([mask], frame, features.cells_hw)
    pooled_RC = torch.from_numpy(pooled(weights, features.features_Chw))
    context = torch.from_numpy(features.context_C[:CONTEXT])[None]
    with torch.no_grad():
        expected = torch.stack([head(pooled_RC, context) for head in heads]).mean(0).numpy()
    np.testing.assert_allclose(namer.regions_of_masks(features, [mask]).learned_RD, expected, atol=1e-4)


def test_looking_twice_sees_the_same(card: Path, photo: np.ndarray) -> None:
    files = ModelFiles.of(card)
    one, two = (NamingModel(files.names, files.names_table).look(photo) for _ in range(2))
    np.testing.assert_array_equal(one.features_Chw, two.features_Chw)
    np.testing.assert_array_equal(one.dense_Dhw, two.dense_Dhw)


def test_the_table_keeps_names_and_kin(card: Path, parts: NamingParts) -> None:
    files = ModelFiles.of(card)
    table = NamingModel(files.names, files.names_table).table
    assert table.names_N == NAMES and table.related == {"dog": frozenset({"cat"})}
    np.testing.assert_allclose(table.tensors["bank_vectors"], parts.bank_vectors.numpy(), atol=1e-3)
    assert unit(np.array([3.0, 4.0], np.float32)).tolist() == pytest.approx([0.6, 0.8])
