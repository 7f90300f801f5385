"""Starting the studio: a project for a folder of photos, a server on it, the browser on that."""

from __future__ import annotations

import contextlib
import socket
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from anymask.engine.project import CONFIG, Project
from anymask.errors import BadInput, StorageError, mapped
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.people import OnePerson
from anymask.web.security import Places
from anymask.web.studio import Studio

LOOPBACK = "127.0.0.1"
PROJECT_FOLDER = ".anymask"  # of a folder of photos that is no project itself
KEEP_ALIVE_S = 30
CONNECTIONS = 500
CLOSING_S = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """`port`: 0 takes a free one."""

    folder: Path
    port: int = 0
    browser: bool = True


def open_project(folder: Path, say: Say) -> Project:
    """The project in a folder; of a folder of photos the one that is kept in it, made at the first time.

    Photos that are new in the folder are added. Raises BadInput, StorageError.
    """
    if (folder / CONFIG).is_file():
        return Project.open(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of photos or a project")
    project, added = Project.init(folder / PROJECT_FOLDER, [folder])
    say(f"{folder}: {added.new} photos added, {added.known} known")
    for source, why in added.failures[:10]:
        say(f"passed over {source}: {why}")
    return project


def launch(asked: Launch, say: Say) -> None:
    """Serve until interrupted."""
    with open_project(asked.folder, say) as project, _listening(asked.port) as listener:
        port = listener.getsockname()[1]
        people = OnePerson(port)
        studio = Studio(asked.folder.resolve().name, project, people, Inference(project.model))
        app = create_app(studio, Places.of_loopback(port))
        link = f"http://{LOOPBACK}:{port}/?token={people.token}"
        say(f"studio of {asked.folder}: {link}")
        say("stop with Ctrl-C; everything is saved already")
        if asked.browser:
            webbrowser.open(link)
        server(app).run(sockets=[listener])


def server(app: object) -> uvicorn.Server:
    """With limits, and without a log of requests: their addresses may hold the token."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=CLOSING_S,
        proxy_headers=False,
        lifespan="on",
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with mapped((OSError, OverflowError), StorageError, f"cannot listen on port {port}"):
            listener.bind((LOOPBACK, port))
            listener.listen(128)
        yield listener
