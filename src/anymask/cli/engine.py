"""`anymask engine`: the data engine on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.reporting import needs_extra, say

engine = typer.Typer(help="The data engine, without people.", no_args_is_help=True)

TOLD = {
    "iou_click_1": "IoU after one click",
    "iou_box": "IoU of a box",
    "ar_at_100": "AR@100 of automatic masks",
    "precision_at_75": "precision of automatic masks",
}


@engine.callback()
def engine_root() -> None:
    """The data engine, without people."""


@engine.command()
def simulate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Photos with ground truth, for the crew.")],
    fixed: Annotated[Path, typer.Option(metavar="VAL", help="Others with ground truth, to measure on.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="A new folder, or that of a run that was stopped: it goes on."
        ),
    ],
    rounds: Annotated[
        str | None,
        typer.Option(metavar="N,M", help="Of stage 1 and of stage 2; default: 6,5, of quick ones 2,1."),
    ] = None,
    photos: Annotated[
        str | None,
        typer.Option(metavar="N,M", help="Annotated in a round of each; default: 8,12, of quick ones 4,4."),
    ] = None,
    first: Annotated[
        int | None, typer.Option(metavar="N", help="Only so many photos are ever annotated.")
    ] = None,
    remember: Annotated[
        list[Path] | None,
        typer.Option(metavar="SET", help="Photos of another kind with ground truth: what is forgotten?"),
    ] = None,
    people: Annotated[int, typer.Option(help="In the simulated crew.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the crew and of the choice of photos.")] = 0,
    quick: Annotated[bool, typer.Option(help="Few rounds, few photos: minutes.")] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="The report too; it is in DIR anyway.")
    ] = None,
) -> None:
    """Run the three stages with a simulated crew made from ground truth, and write a report."""
    with needs_extra("engine"):
        from anymask.engine.project import Project
        from anymask.engine.report import write_simulation_page
        from anymask.engine.simulate import Plan, rounds_of
        from anymask.engine.simulate import simulate as run
    with needs_extra("train"):
        from anymask.engine.recipe import default_recipe
    import json

    from anymask.files import write_atomically

    plan = Plan(
        rounds_of(rounds or ("2,1" if quick else "6,5")),
        rounds_of(photos or ("4,4" if quick else "8,12")),
        people,
        first,
        automatic=4 if quick else None,
        remember=tuple(remember or ()),
        seed=seed,
    )
    report = run(data, fixed, out, default_recipe(quick=quick), plan, say)
    with Project.open(out / "project", read_only=True) as project:
        write_simulation_page(project, report, out / "report.html")
    if json_ is not None:
        write_atomically(json_, (json.dumps(report, indent=2) + "\n").encode())
    _tell(report)
    say(f"{report['seconds'] / 60:.1f} minutes; {out / 'report.html'}")


def _tell(report: dict[str, Any]) -> None:
    before, after = report["before"], report["after"]
    for name, what in TOLD.items():
        if name in before and name in after:
            say(f"{what:<32} {before[name]:.2f} -> {after[name]:.2f}")
    seconds = before["trial"]["seconds_per_mask"], after["trial"]["seconds_per_mask"]
    if None not in seconds:
        say(f"{'seconds a mask, same photos':<32} {seconds[0]:.1f} -> {seconds[1]:.1f}")
    for name, one in report["forgetting"].items():
        say(f"{f'one click on {name}':<32} {one['before']:.3f} -> {one['after']:.3f}")
