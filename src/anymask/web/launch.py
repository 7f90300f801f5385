"""Starting the studio: a project for a folder of photos, a server on it, the browser on that."""

from __future__ import annotations

import contextlib
import socket
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from anymask.data.listing import is_photo
from anymask.engine.project import CONFIG, PROJECT_FOLDER, Project
from anymask.engine.queueing import queue_photos
from anymask.errors import BadInput, MissingExtra, StorageError, mapped
from anymask.settings import get_settings
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.people import OnePerson, People
from anymask.web.security import API, Places
from anymask.web.studio import Studio

LOOPBACK = "127.0.0.1"
PORT = 8642  # the same each time: a browser keeps settings by host and port
SECRETS = "studio-secrets"  # in the folder of the project
KEEP_ALIVE_S = 30
CONNECTIONS = 500
CLOSING_S = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """`port`: another one where it is taken, unless it was asked for (`exact_port`). `team`: people sign in.
    `public_url`: where a proxy with TLS answers for it.
    """

    folder: Path
    port: int = PORT
    exact_port: bool = False
    browser: bool = True
    team: bool = False
    public_url: str | None = None


def open_project(folder: Path, say: Say) -> Project:
    """The project in a folder; of a folder of photos the one that is kept in it, made at the first time.

    Photos that are new in the folder are added; an empty one waits for uploads. Raises
    BadInput, StorageError.
    """
    project = Project.open(folder) if (folder / CONFIG).is_file() else _of_photos(folder, say)
    if gone := project.absent():
        say(f"{len(gone)} photos are not there any more, {gone[0].name} among them: put them back")
    return project


def _of_photos(folder: Path, say: Say) -> Project:
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of photos or a project")
    names = [path for path in folder.rglob("*") if PROJECT_FOLDER not in path.parts]
    holds_photos = any(is_photo(path.name) or path.suffix == ".tar" for path in names)
    project, added = Project.init(folder / PROJECT_FOLDER, [folder] if holds_photos else [])
    say(f"{folder}: {added.new} photos added, {added.known} known")
    for source, why in added.failures[:10]:
        say(f"passed over {source}: {why}")
    return project


def launch(asked: Launch, say: Say) -> None:
    """Serve until interrupted. Raises BadInput, StorageError."""
    with open_project(asked.folder, say) as project, _listening(asked) as listener:
        port = listener.getsockname()[1]
        places = Places.of_loopback(port)
        if asked.public_url:
            places = places.and_public(asked.public_url)
        people, link = _people(asked, project, port)
        queue_photos(project)
        name = asked.folder.resolve().name
        studio = Studio(name, project, people, Inference(project.model))
        say(f"{name}: {link}")
        say("stop with Ctrl-C; everything is saved already")
        if asked.browser:
            webbrowser.open(link)
        app = create_app(studio, places)
        behind_proxy = asked.public_url is not None
        server(app, studio.events.end, behind_proxy=behind_proxy).run(sockets=[listener])


def _people(asked: Launch, project: Project, port: int) -> tuple[People, str]:
    """And the link to begin with."""
    local = f"http://{LOOPBACK}:{port}"
    if not asked.team:
        one = OnePerson.kept(port, project.folder / SECRETS)
        return one, f"{local}/?token={one.token}"
    from anymask.web.accounts import Accounts, first_invitation

    code = first_invitation(project)
    place = (asked.public_url or local).rstrip("/")
    accounts = Accounts(project, secure=asked.public_url is not None, sso=_single_sign_on(place))
    return accounts, f"{place}/invitation?code={code}" if code else f"{place}/"


def _single_sign_on(place: str) -> Any:
    """As the settings say; None without. Raises BadOption, MissingExtra."""
    settings = get_settings()
    if not settings.sso_issuer:
        return None
    try:
        from anymask.web.sso import Provider, SingleSignOn
    except ImportError:
        raise MissingExtra('single sign-on needs joserfc: pip install "anymask[sso]"') from None
    provider = Provider(settings.sso_issuer, settings.sso_client_id, settings.sso_client_secret)
    return SingleSignOn(provider, f"{place}{API}/sso/callback")


class _Server(uvicorn.Server):
    """Lets pages that listen go before it waits for the requests that are left: theirs would not end."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def server(app: object, ending: Callable[[], None], *, behind_proxy: bool = False) -> uvicorn.Server:
    """With limits, and without a log of requests: their addresses may hold the token. `ending` is called
    when it begins to stop.
    """
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=CLOSING_S,
        proxy_headers=behind_proxy,
        lifespan="on",
    )
    return _Server(config, ending)


@contextlib.contextmanager
def _listening(asked: Launch) -> Iterator[socket.socket]:
    # Named as TCP: else asyncio does not turn off Nagle's algorithm, and many answers wait 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with mapped(OSError, StorageError, f"cannot listen on port {asked.port}"):
            try:
                listener.bind((LOOPBACK, asked.port))
            except OSError:
                if asked.exact_port:
                    raise
                listener.bind((LOOPBACK, 0))
            listener.listen(128)
        yield listener
