"""`anymask models`: which models there are, and fetching, describing and converting their weights."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.options import AsJson
from anymask.cli.reporting import needs_extra, progress_line, say, say_json

if TYPE_CHECKING:
    from anymask.hub.catalog import Converter, ModelEntry

models = typer.Typer(name="models", help="List, fetch, describe and convert models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from `anymask models list`, or a path.")]


@models.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all models: which are here, how large the others are."""
    from anymask.hub.catalog import list_models

    entries = list_models()
    if as_json:
        say_json(json.dumps({"models": [entry_fields(entry) for entry in entries]}))
    else:
        say("\n".join(f"{e.name:<12} {where(e):<20} {e.about}" for e in entries))


def entry_fields(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "about": entry.about,
        "licence": entry.licence,
        "download_bytes": entry.download_bytes,
        "path": str(entry.path) if entry.path else None,
    }


def where(entry: ModelEntry) -> str:
    return "here" if entry.path else f"to fetch, {entry.download_bytes / 1e6:,.0f} MB"


@models.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `anymask models list`.")],
) -> None:
    """Fetch published weights and check their SHA-256; resumes."""
    from anymask.hub.catalog import pull as fetch

    say(str(fetch(name, progress=megabytes, convert=converter())))


def converter() -> Converter | None:
    """To safetensors with a card where torch is installed, to ONNX too where the extra `export` is."""
    if not (find_spec("torch") and find_spec("safetensors")):
        return None
    from anymask.hub.weights import convert_checkpoint

    if not (find_spec("onnx_ir") and find_spec("onnxscript")):
        return convert_checkpoint
    from anymask.export.graphs import export_weights

    def to_onnx(source: Path, target: Path, name: str) -> Path:
        convert_checkpoint(source, target, name)
        return export_weights(target, target.parent)

    return to_onnx


def megabytes(done: int, total: int) -> None:
    progress_line(done, total, f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB")


@models.command()
def info(name: Name) -> None:
    """Print the card of a model: sources, licences, numbers."""
    from anymask.errors import ModelNotFound
    from anymask.hub.catalog import CATALOG, find_model

    try:
        path = find_model(name)
    except ModelNotFound:
        if name not in CATALOG:
            raise
        say(json.dumps(published_fields(name), indent=2))
    else:
        say(json.dumps({"path": str(path), **card_fields(path)}, indent=2, ensure_ascii=False))


def card_fields(path: Path) -> dict[str, Any]:
    """What the card says; nothing for a published file that has none yet."""
    from anymask.hub.card import ModelFiles, read_card

    return read_card(path).facts if ModelFiles.of(path).card.exists() else {}


def published_fields(name: str) -> dict[str, Any]:
    from anymask.hub.catalog import CATALOG

    published = CATALOG[name]
    remote = {"url": published.remote.url, "sha256": published.remote.sha256, "bytes": published.remote.size}
    return {"name": name, "about": published.about, "licence": published.licence, "path": None, **remote}


@models.command()
def convert(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A published .pth or .pt file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: WEIGHTS with the ending .safetensors.")
    ] = None,
    network: Annotated[
        str, typer.Option(metavar="NAME", help="Which network it is; auto finds out from the tensors.")
    ] = "auto",
) -> None:
    """Convert a .pth file to safetensors (needs extra torch)."""
    from anymask.files import check_regular

    with needs_extra("torch"):
        from anymask.hub.weights import convert_checkpoint
    check_regular(weights)
    target = out or weights.with_suffix(".safetensors")
    say(f"{target}\n{convert_checkpoint(weights, target, network)}")
