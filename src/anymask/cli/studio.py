"""`anymask studio`: annotate in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.reporting import needs_extra, say


def studio(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of photos, or of a project; default: here.")
    ] = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Annotate in the browser: opens a project for a folder of photos and a page on it."""
    with needs_extra("studio"):
        from anymask.web.launch import Launch, launch

    launch(Launch(folder, port, browser), say)
