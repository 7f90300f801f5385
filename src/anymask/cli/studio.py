"""`anymask studio`: annotate in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.reporting import needs_extra, say
from anymask.errors import BadOption


def studio(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of photos, or of a project; default: here.")
    ] = Path(),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8642, or a free one where that is taken.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    team: Annotated[bool, typer.Option("--team", help="People sign in; roles, invitations.")] = False,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="https://... of a proxy in front of it (with --team).")
    ] = None,
) -> None:
    """Annotate in the browser: opens a project for a folder of photos and a page on it."""
    with needs_extra("studio"):
        from anymask.web.launch import PORT, Launch, launch

    if public_url is not None and not (team and public_url.startswith("https://")):
        raise BadOption("--public-url: expected https://... and --team")
    launch(Launch(folder, PORT if port is None else port, port is not None, browser, team, public_url), say)
