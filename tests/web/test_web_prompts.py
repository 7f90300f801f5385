"""Clicking: a look at once, the best refined, the alternatives; hover; everything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from studio_client import Annotator, error_of

import anymask
from anymask.api import EncodedImage
from anymask.core.candidates import AnswerStep
from anymask.core.mask import Mask
from anymask.web.inference import Inference, Turns
from anymask.web.studio import Studio

DISK = [64.0, 60.0]


@pytest.fixture
def eve(lite: tuple[Studio, TestClient]) -> Annotator:
    annotator = Annotator(lite[1])
    annotator.open(1)
    return annotator


def wait_until_encoded(ada: Annotator, image_id: int = 1) -> None:
    for _ in range(600):
        answer = ada.post(f"/images/{image_id}/encode", {"priority": "now"}).json()
        if answer["embedding"] == "ready":
            return
        time.sleep(0.05)
    raise AssertionError("not encoded in half a minute")


def test_a_click_is_answered_in_three_steps(eve: Annotator) -> None:
    look, best, alternatives = eve.prompt(points=[DISK])
    assert [one["step"] for one in (look, best, alternatives)] == ["look", "best", "alternatives"]
    assert [one["final"] for one in (look, best, alternatives)] == [False, True, True]
    assert best["candidates"][0] in alternatives["candidates"] or (
        best["candidates"][0]["id"] in {one["id"] for one in alternatives["candidates"]}
    )
    best_mask = Mask.from_rle(alternatives["candidates"][0]["rle"])
    assert best_mask.to_array()[60, 64]


def test_what_a_page_accepts_is_what_the_library_answers(
    eve: Annotator, lite: tuple[Studio, TestClient]
) -> None:
    *_, last = eve.prompt(points=[DISK])
    row = eve.get("/images/1").json()
    path = next(Path(lite[0].project.config.photos[0]).rglob(row["name"]))
    expected = anymask.load(threads=1).encode(path).segment(points=[DISK])
    assert [one["rle"] for one in last["candidates"]] == [one.rle for one in expected]


def test_a_correction_begins_with_an_earlier_answer(eve: Annotator) -> None:
    *_, first = eve.prompt(points=[DISK])
    box = first["candidates"][0]["box"]
    asked = {"points": [DISK, [box[0] - 5, box[1] - 5]], "labels": [1, 0]}
    *_, last = eve.prompt(**asked, previous=first["candidates"][0]["id"])
    assert last["final"] and len(last["candidates"]) == 1


def test_an_answer_about_another_photo_is_no_start(eve: Annotator) -> None:
    *_, first = eve.prompt(points=[DISK])
    asked = {"client": "t", "seq": 1, "prompt": {"previous": first["candidates"][0]["id"]}}
    answer = eve.post("/images/2/prompt", asked)
    assert answer.status_code == 410 and error_of(answer)["code"] == "gone"


def test_a_box_and_a_mask_are_prompts(eve: Annotator) -> None:
    *_, boxed = eve.prompt(box=[45, 42, 85, 80])
    assert boxed["step"] == "best" and boxed["final"]
    (masked,) = eve.prompt(mask=boxed["candidates"][0]["rle"])
    assert masked["final"]


def test_steps_that_are_not_wanted_do_not_come(eve: Annotator) -> None:
    asked = {"client": "few", "seq": 1, "prompt": {"points": [DISK]}, "steps": ["look"]}
    lines = eve.post("/images/1/prompt", asked).text.splitlines()
    assert [json.loads(line)["step"] for line in lines] == ["look", "best"]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ({}, "bad_prompt"),
        ({"points": [[-4, 3]]}, "bad_prompt"),
        ({"points": [[4, 3]], "labels": [1, 0]}, "bad_prompt"),
        ({"points": [[4, 3]], "labels": [2]}, "bad_request"),
        ({"box": [9, 9, 3, 3]}, "bad_prompt"),
        ({"points": [["x", 3]]}, "bad_request"),
        ({"points": [[1e300, 3]]}, "bad_request"),
        ({"text": "a dog"}, "bad_prompt"),
        ({"mask": {"size": [96, 128], "counts": "~~~"}}, "bad_request"),
        ({"mask": {"size": [5, 5], "counts": "0I"}}, "bad_request"),
        ({"mask": Mask.from_array(np.eye(5)).rle}, "bad_prompt"),
        ({"previous": "e-5"}, "gone"),
        ({"points": [[4, 3]], "view": [9, 9, 3, 3]}, "bad_request"),
        ({"point": [[1, 1]]}, "bad_request"),
    ],
)
def test_a_wrong_prompt_is_named(eve: Annotator, prompt: dict, code: str) -> None:
    answer = eve.post("/images/1/prompt", {"client": "t", "seq": 1, "prompt": prompt})
    assert answer.status_code in (400, 410, 422)
    assert error_of(answer)["code"] == code


def test_hover_shows_what_one_pass_sees(eve: Annotator) -> None:
    wait_until_encoded(eve)
    asked = {"client": "hover", "seq": 1, "prompt": {"points": [DISK]}}
    answer = eve.post("/images/1/preview", asked)
    assert answer.status_code == 200
    side = int(answer.headers["x-side"])
    rows, columns = (float(one) for one in answer.headers["x-inside"].split(","))
    seen = np.frombuffer(answer.content, np.uint8).reshape(side, side) >= 128
    assert columns == side and rows == pytest.approx(side * 96 / 128)
    assert seen[int(60 / 96 * rows), int(64 / 128 * columns)]
    look = eve.prompt(points=[DISK])[0]
    drawn = Mask.from_rle(look["candidates"][0]["rle"]).to_array()
    small = seen[: int(rows)].repeat(128 // int(columns) or 1, 1)
    grown = small[(np.arange(96) * rows / 96).astype(int)][
        :, (np.arange(128) * small.shape[1] / 128).astype(int)
    ]
    assert (grown & drawn).sum() / (grown | drawn).sum() > 0.8


def test_hover_on_a_part_of_a_photo_shows_that_part(eve: Annotator) -> None:
    wait_until_encoded(eve)
    asked = {"client": "near", "seq": 1, "prompt": {"points": [DISK], "view": [34.4, 30, 98, 91]}}
    answer = eve.post("/images/1/preview", asked)
    assert answer.headers["x-shown"] == "34,30,98,91"
    side = int(answer.headers["x-side"])
    rows, columns = (float(one) for one in answer.headers["x-inside"].split(","))
    seen = np.frombuffer(answer.content, np.uint8).reshape(side, side) >= 128
    assert columns == side and seen[int((60 - 30) / 61 * rows), int((64 - 34) / 64 * columns)]


def test_a_click_goes_on_with_its_preview(
    eve: Annotator, lite: tuple[Studio, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until_encoded(eve)
    afresh = eve.prompt(points=[DISK])
    prompt = {"points": [DISK]}
    begun: list[object] = []
    plain = EncodedImage.segment_steps

    def counted(image: EncodedImage, **asked: Any) -> Iterator[AnswerStep]:
        begun.append(asked)
        return plain(image, **asked)

    monkeypatch.setattr(EncodedImage, "segment_steps", counted)
    eve.post("/images/1/preview", {"client": "t9", "seq": 1, "prompt": prompt})
    answers = []
    for seq in (1, 2):  # the second one has no preview to go on with
        lines = eve.post("/images/1/prompt", {"client": "t9", "seq": seq, "prompt": prompt}).text
        answers.append([json.loads(line) for line in lines.splitlines()])
        assert len(begun) == seq
    rles = [[[one["rle"] for one in line["candidates"]] for line in lines] for lines in (afresh, *answers)]
    assert rles[0] == rles[1] == rles[2]
    eve.post("/images/1/preview", {"client": "t9", "seq": 2, "prompt": prompt})
    eve.post("/images/1/prompt", {"client": "t9", "seq": 3, "prompt": {"points": [[20, 20]]}})
    assert len(begun) == 4, "another place: a pass of its own"


def test_hover_waits_for_nothing(ada: Annotator, studio: Studio) -> None:
    """A photo that is not encoded yet: no answer rather than a late one."""
    gate = threading.Event()
    studio.inference._ahead.submit(gate.wait)
    answer = ada.post("/images/1/preview", {"client": "h", "seq": 1, "prompt": {"points": [[5, 5]]}})
    assert answer.status_code == 204 and answer.headers["x-reason"] == "not-ready"
    gate.set()


def test_an_older_prompt_gives_way(ada: Annotator) -> None:
    ada.open(1)
    wait_until_encoded(ada)
    ask = lambda seq: {"client": "t", "seq": seq, "prompt": {"points": [[20, 20]]}}  # noqa: E731
    assert ada.post("/images/1/prompt", ask(9)).text.count("\n") >= 1
    late = ada.post("/images/1/prompt", ask(3)).text.splitlines()
    assert [json.loads(line)["step"] for line in late] == ["superseded"]
    hover = ada.post("/images/1/preview", ask(1))
    assert hover.status_code == 200, "hovering does not disturb clicks"
    assert ada.post("/images/1/preview", ask(0)).headers["x-reason"] == "superseded"


def test_everything_comes_with_probabilities(eve: Annotator) -> None:
    asked = {"client": "t", "seq": 1, "min_probability": 0.2}
    lines = [json.loads(one) for one in eve.post("/images/1/everything", asked).text.splitlines()]
    masks = lines[-1]["masks"]
    assert lines[-1]["step"] == "done" and masks
    probabilities = [one["probability"] for one in masks]
    assert probabilities == sorted(probabilities, reverse=True) and min(probabilities) >= 0.2


def test_an_embedding_can_be_decoded_elsewhere(eve: Annotator) -> None:
    from anymask.core.embedding import Embedding

    found = Embedding.from_bytes(eve.get("/images/1/embedding").content)
    assert found.size_hw == (96, 128)


def test_the_next_photo_is_encoded_ahead(ada: Annotator, studio: Studio) -> None:
    from anymask.store import tasks

    tasks.add_tasks(studio.project.database, [1, 2, 3, 4])
    first = ada.next()
    assert first is not None
    for _ in range(200):
        states = [ada.post(f"/images/{n}/encode", {}).json()["embedding"] for n in (1,)]
        if states == ["ready"]:
            break
        time.sleep(0.05)
    rows = [ada.get(f"/images/{n}").json() for n in (2, 3)]
    assert all(studio.inference.state(row["hash"]) in ("ready", "working") for row in rows)


def test_one_photo_is_encoded_once_however_many_ask(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.store import images

    row = images.image(studio.project.database, 1)
    calls: list[int] = []
    encode = studio.inference.model.backend.encode

    def counted(pixels: np.ndarray) -> object:
        calls.append(1)
        time.sleep(0.05)
        return encode(pixels)

    monkeypatch.setattr(type(studio.inference.model.backend), "encode", lambda _, pixels: counted(pixels))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: studio.encode(row, ahead=n % 2 == 0).result(), range(16)))
    assert len(calls) == 1 and len({id(one) for one in found}) == 1


def test_another_model_forgets_what_was_encoded(ada: Annotator, studio: Studio) -> None:
    from anymask.store import images

    row = images.image(studio.project.database, 1)
    studio.encode(row).result()
    assert studio.inference.state(row.hash) == "ready"
    studio.inference.use("disk:2")
    assert studio.inference.state(row.hash) == "none"


def test_turns_are_counted_for_each_client() -> None:
    turns = Turns()
    first = turns.begin(("ada", "a"), 1)
    other = turns.begin(("ada", "b"), 1)
    second = turns.begin(("ada", "a"), 2)
    assert (first(), second(), other()) == (False, True, True)


def test_too_many_prompts_are_turned_down() -> None:
    from anymask.web.inference import Busy

    inference = Inference("disk", workers=1, queue=2)
    gate = threading.Event()
    try:
        for _ in range(2):
            inference.submit(gate.wait)
        with pytest.raises(Busy):
            inference.submit(gate.wait)
    finally:
        gate.set()
        inference.close()


def test_a_click_on_an_unreadable_photo_is_an_error_not_a_crash(ada: Annotator, studio: Studio) -> None:
    path = sorted(Path(studio.project.config.photos[0]).glob("*.png"))[0]
    path.write_bytes(b"gone bad")
    asked = {"client": "t", "seq": 1, "prompt": {"points": [[5, 5]]}}
    answer = ada.post("/images/1/prompt", asked)
    assert answer.status_code == 400


def test_words_find_every_instance(eve: Annotator) -> None:
    answer = eve.post("/images/1/find", {"client": "tab", "seq": 1, "text": "sleeping cat"}).json()
    assert set(answer) == {"seq", "present", "presence", "understood", "not_understood", "model", "masks"}
    assert answer["not_understood"] == ["sleeping"]
    assert not answer["masks"] or answer["present"]


def test_an_unknown_word_is_refused_with_the_nearest(eve: Annotator) -> None:
    refused = eve.post("/images/1/find", {"client": "tab", "seq": 1, "text": "blorf"})
    assert refused.status_code == 400
    assert "nearest known" in refused.json()["error"]["message"]
