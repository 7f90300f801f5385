"""What stands before every route: hosts, origins, sizes, who is asking and whether they may.

A page of another site, or a name that was pointed at this machine, can make a browser send requests here; so
the Host has to be one of ours, and writes have to come from our own page (Origin). Deny by default: a route
without a row in `ROLE_OF` answers nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anymask.store.users import ROLE_NAMES
from anymask.web.errors import Refused, error_answer

API = "/api/v1"
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = ("GET", "HEAD", "OPTIONS")
MEGABYTE = 1 << 20
MAX_BODY = 10 * MEGABYTE
MAX_UPLOAD = 1_024 * MEGABYTE
UPLOADS = (("POST", f"{API}/images"), ("POST", f"{API}/jobs/import"))
ANYBODY = "anybody"  # also who has not signed in
RANK = {ANYBODY: 0, "annotator": 1, "reviewer": 2, "admin": 3}
ROLE_OF: dict[tuple[str, str], str] = {
    ("GET", "/session"): ANYBODY,
    ("POST", "/session"): ANYBODY,
    ("DELETE", "/session"): ANYBODY,
    ("POST", "/invitations/accept"): ANYBODY,
    ("GET", "/sso"): ANYBODY,
    ("GET", "/sso/callback"): ANYBODY,
    ("GET", "/project"): "annotator",
    ("PATCH", "/project/settings"): "admin",
    ("GET", "/images"): "annotator",
    ("POST", "/images"): "admin",
    ("GET", "/images/{image_id}"): "annotator",
    ("GET", "/images/{image_id}/photo"): "annotator",
    ("GET", "/images/{image_id}/thumbnail"): "annotator",
    ("GET", "/images/{image_id}/tiles/{level}/{column}/{row}"): "annotator",
    ("GET", "/images/{image_id}/masks"): "annotator",
    ("POST", "/images/{image_id}/open"): "annotator",
    ("POST", "/images/{image_id}/actions"): "annotator",
    ("POST", "/images/{image_id}/actions/batch"): "annotator",
    ("POST", "/images/{image_id}/prompt"): "annotator",
    ("POST", "/images/{image_id}/preview"): "annotator",
    ("POST", "/images/{image_id}/encode"): "annotator",
    ("GET", "/images/{image_id}/embedding"): "annotator",
    ("GET", "/decoder/{fingerprint}"): "annotator",
    ("POST", "/images/{image_id}/everything"): "annotator",
    ("POST", "/images/{image_id}/find"): "annotator",
    ("GET", "/images/{image_id}/agreement"): "reviewer",
    ("POST", "/tasks/next"): "annotator",
    ("POST", "/tasks/{task_id}/renew"): "annotator",
    ("POST", "/tasks/{task_id}/release"): "annotator",
    ("POST", "/tasks/{task_id}/skip"): "annotator",
    ("POST", "/tasks/{task_id}/submit"): "annotator",
    ("POST", "/tasks/{task_id}/review"): "reviewer",
    ("GET", "/jobs"): "reviewer",
    ("GET", "/jobs/{job_id}"): "reviewer",
    ("POST", "/jobs/{job_id}/cancel"): "admin",
    ("GET", "/jobs/{job_id}/download"): "admin",
    ("POST", "/jobs/prefill"): "admin",
    ("POST", "/jobs/train"): "admin",
    ("POST", "/jobs/export"): "admin",
    ("POST", "/jobs/import"): "admin",
    ("GET", "/rounds"): "reviewer",
    ("GET", "/rounds/{number}/pictures"): "reviewer",
    ("GET", "/models"): "reviewer",
    ("POST", "/models/{model_id}/promote"): "admin",
    ("GET", "/stats"): "reviewer",
    ("GET", "/agreement"): "reviewer",
    ("GET", "/report"): "reviewer",
    ("GET", "/log"): "admin",
    ("GET", "/events"): "annotator",
    ("GET", "/users"): "admin",
    ("PATCH", "/users/{name}"): "admin",
    ("POST", "/invitations"): "admin",
    ("GET", "/tokens"): "annotator",
    ("POST", "/tokens"): "annotator",
    ("DELETE", "/tokens/{token_id}"): "annotator",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Under which hosts the studio answers (`name:port`), and which origins its pages have."""

    hosts: frozenset[str]
    origins: frozenset[str]
    secure: bool = field(default=False)

    @classmethod
    def of_loopback(cls, port: int) -> Places:
        names = ("127.0.0.1", "localhost", "[::1]")
        hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        return cls(frozenset(hosts), frozenset(f"http://{host}" for host in hosts))

    def and_public(self, url: str) -> Places:
        """Also under a URL that a proxy answers with TLS."""
        parts = urlsplit(url)
        return Places(self.hosts | {parts.netloc}, self.origins | {f"https://{parts.netloc}"}, True)


def role_needed(method: str, path: str) -> str | None:
    """Of a route by its template; None: it has no row."""
    return ROLE_OF.get(("GET" if method == "HEAD" else method, path.removeprefix(API)))


async def authorise(request: Request) -> None:
    """Whether who asks may use this route, and not too often."""
    needed = role_needed(request.method, request.scope["route"].path)
    user = getattr(request.state, "user", None)
    if needed is None:
        raise Refused(403, "nobody may use this route")
    if needed == ANYBODY:
        return
    if user is None:
        raise Refused(401, "sign in first")
    if RANK[user.role] < RANK[needed]:
        raise Refused(403, f"this is for people with the role {ROLE_NAMES.get(needed, needed)}")
    wait_s = request.app.state.studio.rates.take(user.name, request.method, request.scope["route"].path)
    if wait_s > 0:
        raise Refused(
            429, "too many requests: slow down", headers={"Retry-After": f"{max(1, round(wait_s))}"}
        )


class Guard:
    """Middleware: looks at the envelope of a request, before any of its body is read."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        self.app, self.places = app, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sending = _with_headers(send)
        try:
            self._check(scope)
            await self._identify(scope)
            _check_type(scope)
            limit = MAX_UPLOAD if (scope["method"], scope["path"]) in UPLOADS else MAX_BODY
            _check_length(scope, limit)
            await self.app(scope, _limited(receive, limit), sending)
        except Refused as error:
            answer = error_answer(error.status, str(error), error.code, headers=error.headers)
            await answer(scope, receive, sending)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self.places.hosts:
            raise Refused(400, "expected the studio's own host name in Host", "bad_host")
        if scope["method"] in SAFE:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin not in self.places.origins:
            raise Refused(403, "this comes from a page that is not the studio's", "bad_origin")
        if origin is None and site not in (None, "same-origin", "none"):
            raise Refused(403, "this comes from a page that is not the studio's", "bad_origin")

    async def _identify(self, scope: Scope) -> None:
        if not scope["path"].startswith(("/api/", "/metrics")):
            return
        user = await scope["app"].state.studio.people.who(Headers(scope=scope))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["user"] = user
        if user is None and not _is_open(scope["method"], scope["path"]):
            raise Refused(401, "sign in first")


def _check_type(scope: Scope) -> None:
    """JSON, but for uploads: what a form of another site can send is none of both, or has its Origin."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = "multipart/form-data" if (scope["method"], scope["path"]) in UPLOADS else "application/json"
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if has_body and kind != expected and scope["method"] not in SAFE:
        raise Refused(415, f"expected a body of {expected}, got {kind[:80] or 'none named'}")


def _is_open(method: str, path: str) -> bool:
    return ROLE_OF.get((method, path.removeprefix(API))) == ANYBODY


def _check_length(scope: Scope, limit: int) -> None:
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdigit():
        raise Refused(400, "expected a number in Content-Length")
    if int(length) > limit:
        raise Refused(413, f"expected at most {limit // MEGABYTE} MB, got {int(length) // MEGABYTE} MB")


def _limited(receive: Receive, limit: int) -> Receive:
    """For bodies that do not say how long they are."""
    got = 0

    async def receiving() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:  # an HTTPException, as FastAPI takes others for a body that cannot be read
            raise HTTPException(413, f"expected at most {limit // MEGABYTE} MB")
        return message

    return receiving


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
