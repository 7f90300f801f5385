"""The command line: the table of verbs, one file each; heavy imports are inside the verbs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from anymask.cli import project_backup, project_jobs  # noqa: F401 - they add commands
from anymask.cli.bench import bench
from anymask.cli.convert import CONVERT_EXAMPLES, convert
from anymask.cli.edges import edges
from anymask.cli.engine import engine
from anymask.cli.evaluate import evaluate
from anymask.cli.everything import EVERYTHING_EXAMPLES, everything
from anymask.cli.export import export
from anymask.cli.models import models
from anymask.cli.name import NAME_EXAMPLES, name
from anymask.cli.project import project
from anymask.cli.reporting import DEBUG_VARIABLE, Verbs, complain, fill_closed_streams, say
from anymask.cli.segment import EXAMPLES, segment
from anymask.cli.studio import studio
from anymask.cli.train import train

app = typer.Typer(
    name="anymask",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command(epilog=EXAMPLES)(segment)
app.command(epilog=EVERYTHING_EXAMPLES)(everything)
app.command()(edges)
app.add_typer(evaluate)
app.command()(train)
app.add_typer(models)
app.add_typer(project, name="project")
app.add_typer(engine, name="engine")
app.command()(studio)
app.add_typer(bench, name="bench")
app.command()(export)
app.command(epilog=CONVERT_EXAMPLES)(convert)
app.command(epilog=NAME_EXAMPLES)(name)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"anymask {version('anymask')}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Promptable segmentation: points, boxes, masks in; masks out."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if any(name.startswith("ANYMASK_") and name != DEBUG_VARIABLE for name in os.environ):
        from anymask.settings import unknown_settings

        for name in unknown_settings():
            complain(f"{name} is set, and there is no such setting; see docs/settings.md")


def main() -> None:
    """The entry point of the `anymask` program."""
    fill_closed_streams()
    app(prog_name="anymask")


if __name__ == "__main__":
    main()
