"""The whole data engine without people (paper, section 4).

Rounds of assisted-manual and of semi-automatic work by a simulated crew, each with a retrained model, then
fully automatic masks, measured against ground truth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anymask.api import Model, load
from anymask.core.mask import Mask, iou_matrix
from anymask.data import formats
from anymask.data.sources import RecordSource, open_records
from anymask.engine.crew import Annotator, Habits, run_crew
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.engine.rounds import Recipe, fixed_records, metrics_of, run_round
from anymask.engine.stages import (
    AssistedManual,
    FullyAutomatic,
    SemiAutomatic,
    Stage,
    fit_threshold,
    spread,
    untouched,
)
from anymask.engine.time_trial import PHOTOS, time_trial
from anymask.errors import BadInput, BadOption, mapped
from anymask.files import write_atomically
from anymask.store import images
from anymask.store.annotations import masks_of

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds`: of stage 1 and of stage 2. `photos`: annotated in a round of each. `people`: in the crew.

    `first`: photos that are ever annotated, None for all that the rounds ask for. `automatic`: photos of
    stage 3, None for all that nobody annotated. `remember`: photos of other kinds with ground truth, on which
    the last model is compared with the first.
    """

    rounds: tuple[int, int] = (6, 5)
    photos: tuple[int, int] = (8, 12)
    people: int = 3
    first: int | None = None
    automatic: int | None = None
    remember: tuple[Path, ...] = ()
    audited: int = 8
    seed: int = 0
    habits: Habits = field(default_factory=Habits)


def simulate(
    data: Path, fixed: Path, out: Path, recipe: Recipe, plan: Plan, say: Say = lambda text: None
) -> dict[str, Any]:
    """Run it into the folder `out` and return the report, which is also there as JSON.

    A run that was stopped goes on with the round it was in, its crew then with other random draws.
    `data`: photos with ground truth, which only the crew sees; `fixed`: others, to measure on.
    Raises BadInput for data without masks and for a folder that holds another project or plan.
    """
    started = time.monotonic()
    report = _begun(out, plan)
    started -= report.get("seconds", 0.0)
    with _project(data, fixed, out) as project:
        truth = ground_truth(project, open_records(data))
        stages = ["manual"] * plan.rounds[0] + ["semi"] * plan.rounds[1]
        for number in range(len(report["rounds"]) + 1, len(stages) + 1):
            row = _round(project, recipe, plan, _crew(plan, project), truth, number, stages[number - 1])
            report["rounds"].append(row)
            say(_line(row))
            _write(out, {**report, "seconds": time.monotonic() - started})
        report |= _overall(project, recipe, plan)
        report["automatic"] |= _automatic(project, plan, truth)
        report["seconds"] = round(time.monotonic() - started, 1)
        _write(out, report)
    return report


def _begun(out: Path, plan: Plan) -> dict[str, Any]:
    """The report of a run that was stopped, or an empty one. Raises BadInput for one with another plan."""
    path, report = out / "report.json", {"plan": _plan(plan), "rounds": []}
    if not path.exists():
        return report
    with mapped((OSError, ValueError), BadInput, f"{path} is damaged"):
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if found.get("plan") != report["plan"]:
        raise BadInput(f"{out} holds a simulation with another plan: choose another folder")
    return found


def _crew(plan: Plan, project: Project) -> list[Annotator]:
    """Rested, and with its own seed whenever it begins: its keys and ids must not come again."""
    left = len(untouched(project))
    seeds = [np.random.default_rng([plan.seed, left, person]) for person in range(plan.people)]
    return [Annotator(f"person-{person}", rng, plan.habits) for person, rng in enumerate(seeds, 1)]


def _project(data: Path, fixed: Path, out: Path) -> Project:
    project, _ = Project.init(out / "project", [data], fixed_share=0.0)
    project.add_photos([fixed], fixed=True)
    import_annotations(project, fixed, formats.Notes(), author="ground truth")
    return project


def ground_truth(project: Project, data: RecordSource) -> dict[int, list[Mask]]:
    """The masks of the data set by number of the image. Raises BadInput when there are none."""
    numbers = {row.hash: row.id for row in images.list_images(project.database, limit=1_000_000)}
    found: dict[int, list[Mask]] = {}
    for record in data:
        number = numbers.get(record.blob.sha256)
        if number is not None:
            found[number] = [mask for _, mask in record.drawn]
    if not any(found.values()):
        raise BadInput("expected photos with masks, got none")
    return found


def _round(
    project: Project,
    recipe: Recipe,
    plan: Plan,
    crew: Sequence[Annotator],
    truth: Mapping[int, Sequence[Mask]],
    number: int,
    name: str,
) -> dict[str, Any]:
    """One round: open photos, let the crew work, train."""
    model = load(project.model)
    stage, threshold = _stage(project, model, name, plan)
    chosen = _next_photos(project, plan, name, truth, number)
    prefilled = stage.open(project, model, chosen, number)
    worked = run_crew(project, model, truth, crew, stage=stage.name, round_number=number)
    outcome = run_round(project, recipe, stage=name)
    return {
        "stage": name,
        "round": number,
        "photos": worked.images,
        "seconds_per_mask": worked.seconds_per_mask,
        "clicks_per_mask": worked.clicks_per_mask,
        "masks_per_image": worked.masks_per_image,
        "drawn": len(worked.masks),
        "prefilled": prefilled,
        "removed": worked.removed,
        "brushed": float(np.mean([one.brushed for one in worked.masks])) if worked.masks else None,
        "quality": float(np.mean([one.iou for one in worked.masks])) if worked.masks else None,
        "threshold": threshold,
        "iou_click_1": outcome.after.get("iou_click_1"),
        "iou_box": outcome.after.get("iou_box"),
        "ar_at_100": outcome.after.get("ar_at_100"),
        "precision_at_75": outcome.after.get("precision_at_75"),
        "ci": outcome.after.get("ci", {}),
        "trained_on": {"photos": outcome.photos, "masks": outcome.masks},
        "forgotten": outcome.forgotten,
        "promoted": outcome.promoted,
        "why": outcome.why,
    }


def _stage(project: Project, model: Model, name: str, plan: Plan) -> tuple[Stage, float | None]:
    if name == "manual":
        return AssistedManual(), None
    fixed = fixed_records(project)
    threshold, _ = fit_threshold(model, fixed.only(spread(range(len(fixed)), min(plan.audited, len(fixed)))))
    return SemiAutomatic(threshold), threshold


def _next_photos(
    project: Project, plan: Plan, name: str, truth: Mapping[int, Sequence[Mask]], number: int
) -> list[int]:
    """Of photos that nobody has annotated; where only the `first` are ever annotated, these again."""
    free = [one for one in untouched(project) if one in truth]
    count = plan.photos[0 if name == "manual" else 1]
    if plan.first is not None:
        taken = sum(1 for one in truth if one not in set(free))
        count = min(count, max(0, plan.first - taken))
    rng = np.random.default_rng([plan.seed, 1_000 + number])
    return sorted(int(one) for one in rng.permutation(free)[:count])


def _overall(project: Project, recipe: Recipe, plan: Plan) -> dict[str, Any]:
    """The first and the last model on all fixed photos, and on photos of other kinds."""
    models, fixed = (project.config.model, project.model), fixed_records(project)
    measure, remember = recipe.measure or recipe.evaluate, recipe.remember or recipe.evaluate
    before, after = (metrics_of(measure(model, fixed)) for model in models)
    forgetting = {}
    for path in plan.remember:
        told = [metrics_of(remember(model, open_records(path)))["iou_click_1"] for model in models]
        forgetting[path.stem] = {"before": told[0], "after": told[1], "lost": round(told[0] - told[1], 5)}
    for model, scores in zip(models, (before, after), strict=True):
        scores["trial"] = time_trial(load(model), fixed, photos=plan.automatic or PHOTOS)
    automatic = {name: after.get(name) for name in ("ar_at_100", "precision_at_75")}
    return {"before": before, "after": after, "forgetting": forgetting, "automatic": automatic}


def _automatic(project: Project, plan: Plan, truth: Mapping[int, Sequence[Mask]]) -> dict[str, Any]:
    """Stage 3: what the machine finds alone on the photos that nobody annotated, against ground truth."""
    model = load(project.model)
    free = [one for one in untouched(project) if one in truth]
    chosen = free if plan.automatic is None else spread(free, min(plan.automatic, len(free)))
    if not chosen:
        return {"photos": 0}
    FullyAutomatic(min_probability=0.5).open(project, model, chosen, 0)
    best: list[float] = []
    recalled: list[float] = []
    for number in chosen:
        masks = [one.mask for one in masks_of(project.database, number)]
        if masks and truth[number]:
            ious = iou_matrix(masks, list(truth[number]))
            best += ious.max(axis=1).tolist()
            recalled += ious.max(axis=0).tolist()
        elif truth[number]:
            recalled += [0.0] * len(truth[number])
    quality, reached = np.array(best), np.array(recalled)
    return {
        "photos": len(chosen),
        "masks": len(best),
        "masks_per_image": len(best) / len(chosen),
        "share_right_90": _share(quality, 0.9),
        "share_right_75": _share(quality, 0.75),
        "found_at_50": _share(reached, 0.5),
    }


def _share(values: np.ndarray, least: float) -> float | None:
    return float((values >= least).mean()) if len(values) else None


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "rounds": list(plan.rounds),
        "photos": list(plan.photos),
        "people": plan.people,
        "first": plan.first,
        "seed": plan.seed,
    }


def _line(row: Mapping[str, Any]) -> str:
    def shown(name: str, form: str = ".2f") -> str:
        return "-" if row[name] is None else format(row[name], form)

    verdict = "promoted" if row["promoted"] else "not promoted"
    return (
        f"round {row['round']:>2} {row['stage']:<6} {shown('seconds_per_mask', '.1f')} s a mask, "
        f"{shown('masks_per_image', '.1f')} masks a photo, click {shown('iou_click_1')}, "
        f"box {shown('iou_box')}, AR@100 {shown('ar_at_100')}: {verdict}, {row['why']}"
    )


def _write(out: Path, report: Mapping[str, Any]) -> None:
    write_atomically(out / "report.json", (json.dumps(report, indent=2) + "\n").encode())


def rounds_of(text: str) -> tuple[int, int]:
    """`6,5`. Raises BadOption."""
    try:
        manual, semi = (int(part) for part in text.split(","))
    except ValueError:
        raise BadOption(f"rounds: expected two numbers as 6,5, got {text!r}") from None
    if manual < 0 or semi < 0 or not manual + semi:
        raise BadOption(f"rounds: expected at least one round, got {text!r}")
    return manual, semi
