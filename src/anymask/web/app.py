"""The application: routes, guards, the built page. `create_app` is what a server runs."""

from __future__ import annotations

import contextlib
import gzip
import mimetypes
from collections.abc import AsyncIterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse

from anymask.engine.metrics import metrics_text
from anymask.engine.status import status_of
from anymask.web import (
    routes_agreement,
    routes_images,
    routes_jobs,
    routes_project,
    routes_prompts,
    routes_session,
    routes_team,
    routes_work,
)
from anymask.web.errors import Refused, add_error_handlers
from anymask.web.people import OnePerson
from anymask.web.security import API, Guard, Places, authorise
from anymask.web.studio import Studio

STATIC = Path(__file__).with_name("static")
ASSETS = "assets/"  # names with a hash of the content
PACKED = {".css", ".js", ".mjs", ".wasm"}
FOR_EVER = "public, max-age=31536000, immutable"
ROUTERS = (
    routes_session, routes_project, routes_images, routes_work, routes_prompts, routes_jobs, routes_team,
    routes_agreement,
)  # fmt: skip


def create_app(studio: Studio, places: Places, *, static: Path = STATIC) -> FastAPI:
    """The studio answers under `places` only. Closing the server closes the studio, not its project."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        studio.events.begin()
        yield
        studio.close()

    app = FastAPI(
        title="anymask studio",
        version=version("anymask"),
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.studio = studio
    app.add_middleware(Guard, places=places)
    add_error_handlers(app)
    api = APIRouter(prefix=API, dependencies=[Depends(authorise)])
    for one in ROUTERS:
        api.include_router(one.router)
    app.include_router(api)
    _add_health(app, studio)
    _add_page(app, studio, static.resolve())
    return app


def _add_health(app: FastAPI, studio: Studio) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> dict[str, str]:
        """The store answers, the model is there."""
        with studio.project.database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
        return {"status": "ok", "model": studio.inference.model.name}

    @app.get("/metrics", include_in_schema=False, response_class=PlainTextResponse)
    def metrics() -> str:
        return metrics_text(status_of(studio.project))


def _add_page(app: FastAPI, studio: Studio, static: Path) -> None:
    files = {
        path.relative_to(static).as_posix(): path
        for path in static.rglob("*")
        if path.is_file() and not path.is_symlink()
    }  # a closed list: no path of a request reaches the file system

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str, request: Request, token: str | None = None) -> Response:
        people = studio.people
        if path == "" and token is not None and isinstance(people, OnePerson) and people.knows(token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(people.cookie, people.session, httponly=True, samesite="lax", path="/")
            return answer
        if path.startswith("api/"):
            raise Refused(404, "no such route")
        found = files.get(path) or (files.get("index.html") if "." not in path.rpartition("/")[2] else None)
        if found is None:
            raise Refused(404, "no such page" if files else "the page is not built: make studio")
        if path.startswith(ASSETS):
            return _asset(found, "gzip" in request.headers.get("accept-encoding", ""))
        return FileResponse(found, headers={"Cache-Control": "no-cache"})


def _asset(path: Path, may_pack: bool) -> Response:
    """Packed where the browser takes it: a script is a third as large then, WebAssembly a fourth."""
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if not may_pack or path.suffix not in PACKED:
        return FileResponse(path, headers=headers)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return Response(_packed(path), media_type=kind, headers=headers | {"Content-Encoding": "gzip"})


@lru_cache(64)
def _packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 6)
