"""Words as an exported graph answer as the Python that they come from."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import onnxruntime
from safetensors.numpy import load_file

import anymask
from anymask.errors import WeightsError
from anymask.export.words import INPUTS, OUTPUTS
from anymask.hub.card import ModelFiles
from anymask.images.reader import read_image
from anymask.words.exported import export_words
from anymask.words.naming import NamingModel
from anymask.words.query import searched_query
from anymask.words.regions import box_weights
from anymask.words.vocabulary import default_vocabulary

ROOT = Path(__file__).resolve().parents[2]
LITE = Path(anymask.__file__).parent / "weights"
ASKED = ("cat", "person", "teacup", "zebra", "grass", "raccoon")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "exported"
    folder.mkdir()
    for path in LITE.glob("lite.*"):
        shutil.copy(path, folder)
    export_words(folder / "lite.json", default_vocabulary())
    return folder


def test_regions_cells_and_photos_are_scored_as_by_the_model(exported: Path, examples: Path) -> None:
    files, vocabulary = ModelFiles.of(LITE / "lite.json"), default_vocabulary()
    namer = NamingModel(files.names, files.names_table)
    pixels = read_image(examples / "cat.jpg")
    features = namer.look(pixels)
    boxes = np.array([(30, 20, 400, 380), (200, 200, 260, 240)], np.float64)
    regions = namer.regions_of_boxes(features, boxes)
    told = json.loads((exported / "lite.words.json").read_text("utf-8"))
    vectors = load_file(exported / "lite.words.safetensors")["vectors"].astype(np.float32)
    rows = [told["words"][vocabulary.resolve(word).row]["searched"] for word in ASKED]
    rivals = np.ones((len(rows), len(told["names"])), np.float32)
    for line, row in zip(rivals, rows, strict=True):
        line[told["words"][row]["no_rivals"]] = 0
    given = (
        features.features_Chw[None], features.dense_Dhw[None], features.classes_Khw[None],
        features.photo_D[None],
        box_weights(boxes, features.frame, features.cells_hw), vectors[rows], rivals,
        np.array([told["words"][row]["photo_bias"] for row in rows], np.float32),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(exported / "lite.words.onnx")
    answers = dict(zip(OUTPUTS, session.run(None, dict(zip(INPUTS, given, strict=True))), strict=True))
    cells, scorers = namer.cells(features), set()
    for number, word in enumerate(ASKED):
        query = searched_query(vocabulary.resolve(word).row, vocabulary, namer)
        scorer = namer.scorer_of(query)
        scorers.add(scorer)
        assert told["words"][rows[number]]["scorer"] == scorer
        near = {"rtol": 0.02, "atol": 2e-4}  # vectors are stored in half precision
        np.testing.assert_allclose(answers[scorer][:, number], namer.score_regions(regions, query), **near)
        chance = namer.chance_in_photo(features, query)
        if scorer == "trained":
            np.testing.assert_allclose(answers["heat"][number], namer.heat(cells, query), **near)
        np.testing.assert_allclose(
            answers["photo_chances"][number], np.nan if chance is None else chance, **near
        )
    assert scorers == {"trained", "imagenet"}


def test_the_table_says_what_every_word_is_called_in_both_languages(exported: Path) -> None:
    vocabulary, told = default_vocabulary(), json.loads((exported / "lite.words.json").read_text("utf-8"))
    assert [one["word"] for one in told["words"]] == list(vocabulary.names)
    dog = told["words"][vocabulary.resolve("dog").row]
    assert (
        "개" in dog["also"] and dog["scorer"] == "trained" and told["names"].index("dog") in dog["no_rivals"]
    )
    teacup = told["words"][vocabulary.resolve("teacup").row]
    assert told["words"][teacup["searched"]]["word"] == "cup"
    assert all(np.isfinite(one["photo_bias"]) for one in told["words"] if one["photo_bias"] is not None)


def test_the_program_of_the_docs_finds_the_cat(
    exported: Path, examples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/how-to/words.md").read_text("utf-8").split("## In other programs")[1]
    program = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert program is not None
    (exported.parent / "examples").mkdir(exist_ok=True)
    shutil.copy(examples / "cat.jpg", exported.parent / "examples")
    monkeypatch.chdir(exported.parent)
    exec(compile(program[1], "words.md", "exec"), {})
    in_region, in_photo = re.findall(r"\[+([\d. e-]+)\]+", capsys.readouterr().out)
    for chances in (in_region, in_photo):
        cat, bicycle = map(float, chances.split())
        assert cat > 0.3 and cat > 10 * bicycle


def test_a_model_without_names_is_refused(tmp_path: Path) -> None:
    shutil.copy(LITE / "lite.json", tmp_path / "other.json")
    with pytest.raises(WeightsError, match="no other.names.onnx beside it"):
        export_words(tmp_path / "other.json", default_vocabulary())
