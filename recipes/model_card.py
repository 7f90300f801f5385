"""Writes docs/model-card.md from the card of the default model; a test checks that it is up to date.

    python recipes/model_card.py                             # of the shipped weights
    python recipes/model_card.py --card exported/lite.json --out model-card.md

Every number on the page stands on the card. A result is a number or a value with its interval, [value, low,
high]; results may be nested, and names that are not known here are shown as they are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CARD, PAGE = ROOT / "src" / "anymask" / "weights" / "lite.json", ROOT / "docs" / "model-card.md"
AUTOMATIC_PICTURE = ROOT / "docs" / "images" / "reliability-automatic.png"
AUTOMATIC_SETS = {"bsds": "BSDS500 regions", "parts": "clothing parts"}
BINS = "from_to_count_probability_right"
HEAD = "<!-- Written by `python recipes/model_card.py` from the model's card; do not edit. -->\n"
SETS = {
    "grabcut": "GrabCut, clicks",
    "davis": "DAVIS, clicks",
    "coco_clicks": "COCO, clicks",
    "coco_boxes": "COCO, boxes",
    "edges": "BSDS500, edges",
    "edges_from_masks": "BSDS500, edges of masks",
    "proposals": "Everything in a photo",
    "calibration": "Calibration",
    "coco": "COCO",
    "parts": "parts of things",
}
MEASURES = {
    "iou_at_1": "IoU after one click",
    "oracle_iou_at_1": "... of the best candidate",
    "noc_85": "clicks to 85 %",
    "noc_90": "clicks to 90 %",
    "miou": "mean IoU, exact box",
    "miou_jittered": "mean IoU, box as people draw it",
    "baseline_filled_box": "baseline: the box filled",
    "iou_at_5": "IoU after five clicks",
    "iou_at_20": "IoU after twenty clicks",
    "best_of_rank_1_2_3": "share of first / second / third candidate that fits best",
    "ar_at_100": "average recall of 100",
    "precision_at_75": "precision at IoU 0.75",
    "tight_at_75": "... of those found at all",
    "ods": "ODS",
    "ois": "OIS",
    "ap": "AP",
    "r50": "R50",
    "ece": "calibration error (15 bins)",
    "ece_even": "calibration error (10 bins of equal width)",
    "ece_null": "... of a perfectly calibrated model, by chance",
    "brier": "Brier score",
    "log_score": "log score",
    "none_predicted": "none of these, predicted",
    "none_observed": "none of these, observed",
    "iou_error": "predicted IoU off by",
    "iou_correlation": "predicted and true IoU, correlation",
    "candidate_iou": "IoU between candidates",
}
COUNTED = ("photos", "images", "masks", "samples", "answers")  # said beside the name of a set


def page(card: Mapping[str, Any]) -> str:
    """The whole page as Markdown; sections of which the card says nothing are left out."""
    sections = [
        head(card),
        section("Intended use", card.get("intended_use")),
        section("Limits", bullets(card.get("limits", ()))),
        section("Data", data_table(card.get("data", ()))),
        section("Recipe", recipe(card)),
        section("Results", results(card.get("results", {}))),
        section("Calibration", calibration(card)),
        section("Calibration of automatic masks", automatic_calibration(card)),
        section("Failures", FAILURES),
    ]
    return "\n".join(filter(None, [HEAD, *sections]))


FAILURES = (
    "[Forty answers](forty.md), drawn by chance from the evaluation photos, good and bad, with their numbers."
)


def section(title: str, text: str | None) -> str:
    return f"## {title}\n\n{text}\n" if text else ""


def head(card: Mapping[str, Any]) -> str:
    spec, weights = card["spec"], card.get("weights", {})
    facts = [f"input {spec['input_size']} px", f"masks {spec['low_res_size']} px"]
    if weights:
        facts.insert(0, f"{weights['parameters'] / 1e6:.1f} million parameters")
        facts += [f"{weights['bytes'] / 1e6:.1f} MB", f"SHA-256 `{weights['sha256'][:16]}...`"]
    facts += ["refines in two passes"] if card.get("refine") else []
    version = f" {card['version']}" if "version" in card else ""
    return f"# {spec['name']}{version}\n\n{card.get('about', '')}\n\n{'; '.join(facts)}.\n"


def bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)


def data_table(sources: Any) -> str:
    if not sources:
        return ""
    names = ("source", "photos", "masks", "repository", "licence")
    rows = [[cell(source.get(name, "")) for name in names] for source in sources]
    total = [sum(source.get(name, 0) for source in sources) for name in ("photos", "masks")]
    text = f"{total[0]:,} photos with {total[1]:,} masks. Check whether the licences suit your use."
    return f"{text}\n\n{table(names, rows)}"


def recipe(card: Mapping[str, Any]) -> str:
    facts = dict(card.get("recipe", {}))
    stages = stages_of(card)
    hours = sum(stage.get("seconds", 0) for stage in stages) / 3600
    if hours and "hours" not in facts:
        facts["hours"] = f"{hours:.1f}"
    if counted := [f"{s['step']:,} ({s['images']:,} views)" for s in stages if "step" in s and "images" in s]:
        facts["steps"] = ", ".join(counted)
    start = ", ".join(card.get("initialised_from", {}).values())
    lines = [f"**{name}**: {code(name, value)}" for name, value in facts.items()]
    return bullets([*lines, *([f"**starts from**: {start}"] if start else [])])


def stages_of(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is known of the training of the network, then of its heads."""
    training = card.get("training", {})
    boxes = runs_of(card.get("boxes_training", {}))
    return [*training.get("mean_of", [training]), *boxes, card.get("edges_training", {})]


def runs_of(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One after the other, each from where the one before ended."""
    before = training.get("goes_on_from")
    return [*(runs_of(before) if before else []), training]


def code(name: str, value: Any) -> str:
    return f"`{value}`" if name == "command" else str(value)


def results(measured: Mapping[str, Any]) -> str:
    """A table of all sets but calibration, which has a section of its own."""
    shown = {n: v for n, v in measured.items() if isinstance(v, Mapping) and n != "calibration"}
    rows = [row for name, values in shown.items() for row in rows_of(SETS.get(name, spaced(name)), values)]
    source = f"Measured: {measured['measured']}.\n\n" if "measured" in measured else ""
    return source + table(("set", "measure", "value"), rows) if rows else ""


def calibration(card: Mapping[str, Any]) -> str:
    values = card.get("results", {}).get("calibration", {})
    rows = [[name.replace(", clicks", ""), *rest] for name, *rest in rows_of("", values)]
    told = table(("set", "measure", "value"), rows) + "\n\n" if rows else ""
    temperature = f"Temperature of the probabilities: {card.get('temperature', 1.0):g}.\n\n"
    alt = "bars: how often candidates of each probability were the one meant"
    explained = "What the words and the picture mean: [measure](how-to/evaluate.md)."
    return f"{temperature}{told}![{alt}](images/reliability.png)\n\n{explained}"


def automatic_calibration(card: Mapping[str, Any]) -> str:
    """Probability against the fraction that is right, in bins, of sets on which everything is labelled."""
    rows, errors = [], []
    for name, facts in card.get("automatic", {}).get("reliability", {}).items():
        for low, high, count, predicted, right in facts[BINS]:
            mean, fraction = f"{predicted:.2f}", f"{right:.2f}"
            rows.append([AUTOMATIC_SETS[name], f"{low:g} to {high:g}", f"{count:,}", mean, fraction])
        errors.append(f"{AUTOMATIC_SETS[name]} {facts['calibration_error']:.3f}")
    if not rows:
        return ""
    head = (
        "The probability of an automatic mask is the chance that its IoU with a mask a person drew is 0.5 or "
        "more. "
        f"Expected calibration error (10 bins): {', '.join(errors)}."
    )
    picture = (
        f"![bars: the fraction of masks of each probability that is right](images/{AUTOMATIC_PICTURE.name})"
    )
    names = ("set", "probability", "masks", "mean probability", "fraction right")
    return f"{head}\n\n{table(names, rows)}\n\n{picture}"


def automatic_diagram(card: Mapping[str, Any]) -> Image.Image:
    """The reliability diagrams of these sets, side by side (needs the extra eval)."""
    from anymask.evaluation.reliability import reliability_diagram

    diagrams = []
    for name, facts in card["automatic"]["reliability"].items():
        keys = ("count", "predicted", "observed")
        bins = [
            {"bin": round(10 * low), **dict(zip(keys, rest, strict=True))} for low, _, *rest in facts[BINS]
        ]
        diagrams.append(reliability_diagram(bins, f"automatic masks, {AUTOMATIC_SETS[name]}"))
    sheet = Image.new("RGB", (sum(d.width for d in diagrams), diagrams[0].height), "white")
    for i, diagram in enumerate(diagrams):
        sheet.paste(diagram, (i * diagram.width, 0))
    return sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.BOX)


def rows_of(name: str, values: Mapping[str, Any]) -> Iterator[list[str]]:
    """A row for each measure; a set within a set gets its name behind that of the outer one."""
    counts = [f"{values[c]:,} {c}" for c in COUNTED if isinstance(values.get(c), int)]
    title = f"{name} ({', '.join(counts)})" if name and counts else name or ", ".join(counts)
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = SETS.get(key, spaced(key))
            yield from rows_of(f"{name}, {inner}" if name else inner, value)
        elif key not in COUNTED:
            yield [title, MEASURES.get(key, spaced(key)), number(value)]


def spaced(key: str) -> str:
    return key.replace("_", " ")


def number(value: Any) -> str:
    """`0.812 [0.751, 0.867]`, `0.812`, or what else there is."""
    if isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) for v in value):
        middle, low, high = (f"{v:.3f}" for v in value)
        return f"{middle} [{low}, {high}]"
    return f"{value:.3f}" if isinstance(value, float) else cell(value)


def cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def table(names: Any, rows: list[list[str]]) -> str:
    lines = [list(names), ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--card", type=Path, default=CARD)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    card = json.loads(options.card.read_text("utf-8"))
    options.out.write_text(page(card), "utf-8")
    if "reliability" in card.get("automatic", {}):
        automatic_diagram(card).save(AUTOMATIC_PICTURE, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
