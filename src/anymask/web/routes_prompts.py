"""Prompts: answers in steps, hover previews, everything. All inference is on threads of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from anymask.api import EncodedImage
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import AnswerStep, Candidate
from anymask.errors import AnymaskError
from anymask.store.database import AnyRow
from anymask.store.users import User
from anymask.web.errors import error_told
from anymask.web.inference import Preview, preview_of, wanted_of
from anymask.web.routes_images import find
from anymask.web.schemas import (
    Asking,
    Encoding,
    EverythingRequest,
    FindRequest,
    Fingerprint,
    Id,
    PromptRequest,
)
from anymask.web.studio import Studio, studio_of, user_of
from anymask.words.search import NamedMask

NDJSON = "application/x-ndjson"
PROGRESS_S = 0.2
MAX_EVERYTHING = 2_000  # masks of one answer
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]


@router.post("/images/{image_id}/encode", status_code=202)
def encode(image_id: Id, asked: Encoding, studio: TheStudio) -> dict[str, str]:
    """Have the photo encoded: now, or when nothing else is."""
    row = _photo(studio, image_id)
    studio.encode(row, ahead=asked.priority == "soon")
    return {"embedding": studio.inference.state(row.hash)}


@router.get("/images/{image_id}/embedding")
async def embedding(image_id: Id, studio: TheStudio) -> Response:
    """For a decoder in the browser: safetensors in half precision."""
    row = await run_in_threadpool(_photo, studio, image_id)
    image = await asyncio.wrap_future(studio.encode(row))
    fingerprint = image.embedding.fingerprint
    content = await run_in_threadpool(image.embedding.to_bytes)
    found = await run_in_threadpool(studio.inference.decoder, fingerprint)
    headers = {"ETag": f'"{row.hash[:32]}-{fingerprint[:16]}"', "Cache-Control": "private, no-cache"}
    headers |= {"X-Decoder": found.facts} if found else {}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get("/decoder/{fingerprint}")
def decoder(fingerprint: Fingerprint, studio: TheStudio) -> Response:
    """The mask decoder that goes with embeddings, for a browser (.ort); nothing when another is in use."""
    found = studio.inference.decoder(fingerprint)
    if found is None:
        return Response(status_code=204, headers={"X-Reason": "not-in-use"})
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Encoding": "gzip"}
    return Response(found.packed(), media_type="application/octet-stream", headers=headers)


@router.post("/images/{image_id}/preview")
async def preview(image_id: Id, asked: Asking, studio: TheStudio, me: Me) -> Response:
    """What one pass sees under the pointer, as bytes; nothing when a newer one came or nothing is ready."""
    begun = time.perf_counter()
    is_newest = studio.inference.turns.begin((me.name, f"{asked.client}/hover"), asked.seq)
    row = await run_in_threadpool(_photo, studio, image_id)
    arguments = _arguments(studio, image_id, asked)
    encoded = studio.encode(row, ahead=True)
    if not encoded.done():
        return Response(status_code=204, headers={"X-Reason": "not-ready"})
    image = encoded.result()
    who = (me.name, asked.client)

    def look() -> Preview | None:
        if not is_newest():
            return None
        return preview_of(studio.inference.begin(who, image, asked.prompt, arguments))

    seen = await asyncio.wrap_future(studio.inference.submit(look))
    if seen is None or not is_newest():
        return Response(status_code=204, headers={"X-Reason": "superseded"})
    headers = {
        "X-Side": str(seen.pixels.shape[0]),
        "X-Inside": f"{seen.inside_hw[0]:g},{seen.inside_hw[1]:g}",
        "X-Shown": ",".join(map(str, seen.shown_xyxy)),
        "X-Seq": str(asked.seq),
        "X-Probability": f"{seen.probability:.4f}",
        "Server-Timing": f"look;dur={1_000 * (time.perf_counter() - begun):.1f}",
    }
    return Response(seen.pixels.tobytes(), media_type="application/octet-stream", headers=headers)


@router.post("/images/{image_id}/prompt")
async def prompt(image_id: Id, asked: PromptRequest, studio: TheStudio, me: Me) -> StreamingResponse:
    """The answer to a prompt, a line of JSON for each step; the newest prompt of a client wins."""
    is_newest = studio.inference.turns.begin((me.name, asked.client), asked.seq)
    row = await run_in_threadpool(_photo, studio, image_id)
    arguments = _arguments(studio, image_id, asked)
    image: EncodedImage = await asyncio.wrap_future(studio.encode(row))
    answering = studio.inference.steps((me.name, asked.client), image, asked.prompt, arguments)
    steps = wanted_of(answering, asked.steps)
    return StreamingResponse(_lines(studio, row, asked.seq, image, steps, is_newest), media_type=NDJSON)


def _photo(studio: Studio, image_id: int) -> AnyRow:
    """What is asked about, with the model of now in use. Refused with 404."""
    studio.follow_model()
    return find(studio, image_id)


def _arguments(studio: Studio, image_id: int, asked: Asking) -> dict[str, Any]:
    arguments = asked.prompt.arguments()
    if asked.prompt.previous is not None:
        arguments["mask"] = studio.inference.answer(image_id, asked.prompt.previous)
    return arguments


async def _lines(
    studio: Studio,
    row: AnyRow,
    seq: int,
    image: EncodedImage,
    steps: Iterator[AnswerStep],
    is_newest: Callable[[], bool],
) -> AsyncIterator[bytes]:
    names: dict[int, str] = {}  # of candidates, by their logits
    begun = time.perf_counter()

    def following() -> dict[str, Any] | None:
        step = next(steps, None) if is_newest() else None
        if step is None:
            return None
        told = [_candidate_told(studio, row.id, one, names) for one in step.candidates]
        return {
            "step": step.name,
            "seq": seq,
            "final": step.is_final,
            "candidates": told,
            "none_probability": round(float(step.candidates.none_probability), 6),
            "model": image.embedding.fingerprint,
            "ms": round(1_000 * (time.perf_counter() - begun), 1),
        }

    try:
        while (line := await asyncio.wrap_future(studio.inference.submit(following))) is not None:
            yield _line(line)
        if not is_newest():
            yield _line({"step": "superseded", "seq": seq})
    except AnymaskError as error:
        yield _line({"step": "error", "seq": seq, "error": error_told(error)})


def _candidate_told(studio: Studio, image_id: int, one: Candidate, names: dict[int, str]) -> dict[str, Any]:
    """The same candidate has the same id in every step."""
    content = hash(one.low_res_logits.tobytes())
    if content not in names:
        names[content] = studio.inference.keep(image_id, one)
    return {
        "id": names[content],
        "rle": one.rle,
        "box": list(one.mask.box_xyxy),
        "area": one.mask.area,
        "probability": round(float(one.probability), 6),
        "iou": round(float(one.iou), 6),
    }


@router.post("/images/{image_id}/everything")
async def everything(image_id: Id, asked: EverythingRequest, studio: TheStudio, me: Me) -> StreamingResponse:
    """Automatic masks with their probabilities, most probable first; lines of JSON, progress before."""
    is_newest = studio.inference.turns.begin((me.name, f"{asked.client}/everything"), asked.seq)
    row = await run_in_threadpool(_photo, studio, image_id)
    image: EncodedImage = await asyncio.wrap_future(studio.encode(row))
    return StreamingResponse(_everything_lines(studio, asked, image, is_newest), media_type=NDJSON)


@router.post("/images/{image_id}/find")
async def find_words(image_id: Id, asked: FindRequest, studio: TheStudio, me: Me) -> dict[str, Any]:
    """Every instance of what a phrase names, best first; whether it is there, and what was understood."""
    row = await run_in_threadpool(_photo, studio, image_id)
    image: EncodedImage = await asyncio.wrap_future(studio.encode(row))
    work = studio.inference.submit_slow(lambda: image.find(asked.text, box=asked.box))
    answer = await asyncio.wrap_future(work)
    return {
        "seq": asked.seq,
        "present": answer.present,
        "presence": round(answer.presence, 4),
        "understood": [*answer.understood, *answer.told],
        "not_understood": list(answer.not_understood),
        "model": image.embedding.fingerprint,
        "masks": [_named_told(number, one) for number, one in enumerate(answer.masks)],
    }


async def _everything_lines(
    studio: Studio, asked: EverythingRequest, image: EncodedImage, is_newest: Callable[[], bool]
) -> AsyncIterator[bytes]:
    progress = [0, 1]
    left = threading.Event()

    def tell(done: int, total: int) -> None:
        progress[:] = done, total
        if left.is_set() or not is_newest():
            raise _NotWanted

    def work() -> list[AutomaticMask]:
        tell(0, 1)
        changes = {"box": asked.box, "min_probability": asked.min_probability, "progress": tell}
        return image.everything(asked.preset, **changes)  # type: ignore[arg-type]

    future = asyncio.wrap_future(studio.inference.submit_slow(work))
    try:
        told = [0, 0]
        while not (await asyncio.wait([future], timeout=PROGRESS_S))[0]:
            if told != progress:
                told = list(progress)
                yield _line({"step": "progress", "done": told[0], "total": told[1]})
        masks = [_automatic_told(number, one) for number, one in enumerate(future.result()[:MAX_EVERYTHING])]
        yield _line({"step": "done", "seq": asked.seq, "model": image.embedding.fingerprint, "masks": masks})
    except _NotWanted:
        yield _line({"step": "superseded", "seq": asked.seq})
    except AnymaskError as error:
        yield _line({"step": "error", "seq": asked.seq, "error": error_told(error)})
    finally:
        left.set()
        future.cancel()


class _NotWanted(Exception):
    """Nobody waits for it any more."""


def _automatic_told(number: int, one: AutomaticMask) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "rle": one.mask.rle,
        "box": list(one.mask.box_xyxy),
        "area": one.mask.area,
        "probability": round(float(one.probability), 6),
    }


def _named_told(number: int, one: NamedMask) -> dict[str, Any]:
    return {
        "id": f"w{number}",
        "rle": one.mask.rle,
        "box": list(one.mask.box_xyxy),
        "area": one.mask.area,
        "probability": round(one.score, 6),
    }


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
