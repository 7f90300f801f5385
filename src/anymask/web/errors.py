"""Every error of the server in one shape: {"error": {"code", "message", "detail"}}."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from anymask.errors import AnymaskError, BadImage, BadInput, BadPrompt
from anymask.store.opening import Held
from anymask.store.values import LostLease, StaleWrite
from anymask.web.inference import Busy, Gone, NoModel

CODES = {
    400: "bad_request", 401: "signed_out", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 410: "gone", 413: "too_large", 415: "bad_type", 422: "bad_request", 429: "too_many",
    503: "not_ready",
}  # fmt: skip
OWN_CODES: tuple[tuple[type[AnymaskError], str], ...] = (
    (BadPrompt, "bad_prompt"), (BadImage, "bad_image"), (Held, "held"), (StaleWrite, "stale"),
    (LostLease, "lease_lost"), (Gone, "gone"), (Busy, "not_ready"), (NoModel, "no_model"),
)  # fmt: skip
MAX_FIELDS = 20  # that an answer names
log = logging.getLogger("anymask.web")


class Refused(Exception):
    """A request that is turned down before it reaches the engine."""

    def __init__(
        self, status: int, message: str, code: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code or CODES[status], headers


def error_answer(
    status: int,
    message: str,
    code: str | None = None,
    detail: Any = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {"error": {"code": code or CODES.get(status, "failed"), "message": message, "detail": detail}}
    return JSONResponse(body, status, headers=dict(headers or {}))


def error_told(error: AnymaskError) -> dict[str, Any]:
    """The same as a value, for streams and batches."""
    return {"code": code_of(error), "message": str(error), "detail": detail_of(error)}


def detail_of(error: AnymaskError) -> Any:
    if isinstance(error, Held):
        return {"by": error.by, "until": error.until}
    if isinstance(error, LostLease):
        return {"by": error.by}
    return getattr(error, "detail", None)


def code_of(error: AnymaskError) -> str:
    own = next((code for kind, code in OWN_CODES if isinstance(error, kind)), None)
    return own or CODES.get(status_of(error), "failed")


def status_of(error: AnymaskError) -> int:
    """Of a save that came too late 409, whatever the store calls it."""
    return 409 if isinstance(error, StaleWrite) else error.http_status


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(AnymaskError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_fields)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Refused, _of_refused)
    app.add_exception_handler(Exception, _of_bugs)


def _of_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnymaskError)
    status = status_of(error)
    if not isinstance(error, BadInput) and status >= 500:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return error_answer(status, str(error), code_of(error), detail_of(error))


def _of_fields(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        {"at": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()[:MAX_FIELDS]
    ]
    said = f"{fields[0]['at']}: {fields[0]['message']}" if fields else "expected another body"
    return error_answer(422, said, detail={"fields": fields})


def _of_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return error_answer(error.status_code, str(error.detail), headers=error.headers)


def _of_refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return error_answer(error.status, str(error), error.code, headers=error.headers)


def _of_bugs(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return error_answer(500, "something is wrong with the server; its log says what")
