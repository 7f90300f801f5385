"""The models by name: the default in the package, and published weights with their addresses and checksums.

Knows where models lie and what they are called; not how they are run. Nothing is fetched unless `pull` is
called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anymask.core.progress import Progress
from anymask.errors import DownloadError, ModelNotFound
from anymask.hub.card import SUFFIXES, ModelFiles
from anymask.hub.download import Remote, download

EMBEDDED_FOLDER = Path(__file__).resolve().parent.parent / "weights"
PUBLISHED_SUFFIXES = (".pth", ".pt")
SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything"
MOBILE_SAM_URL = "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights"


Converter = Callable[[Path, Path, str], Path]  # published file, safetensors file, name -> card


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that somebody else publishes; `about` is one line for people who choose."""

    name: str
    remote: Remote
    licence: str
    about: str

    @property
    def file_name(self) -> str:
        return self.remote.url.rpartition("/")[2]


def _sam(name: str, file: str, sha256: str, size: int, about: str) -> Published:
    return Published(name, Remote(f"{SAM_URL}/{file}", sha256, size), "Apache-2.0", about)


ZOO: Mapping[str, Published] = {
    entry.name: entry
    for entry in (
        Published(
            "mobile_sam",
            Remote(
                f"{MOBILE_SAM_URL}/mobile_sam.pt",
                "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                40_728_226,
            ),
            "Apache-2.0",
            "MobileSAM: TinyViT encoder, 10 M parameters",
        ),
        _sam(
            "sam_vit_b",
            "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
            "Segment Anything, ViT-B, 94 M parameters",
        ),
        _sam(
            "sam_vit_l",
            "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            1_249_524_607,
            "Segment Anything, ViT-L, 312 M parameters",
        ),
        _sam(
            "sam_vit_h",
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
            "Segment Anything, ViT-H, 641 M parameters",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A line of `anymask models list`. `path`: the card or the published file; None when it is not here."""

    name: str
    about: str
    licence: str
    download_bytes: int
    path: Path | None


def list_models() -> list[ModelEntry]:
    """Models of the package, those published, and whatever else lies in the cache."""
    embedded = _embedded()
    others = sorted({*ZOO, *_cached_names()} - set(embedded))
    return [_entry(name) for name in (*embedded, *others)]


def find_model(name: str, backend: str = "auto") -> Path:
    """The card of a model, by name or by the path of any of its files (published .pth and .pt stand for
    themselves).

    Raises ModelNotFound that says how to get it, or which names there are. `backend` is not looked at: a
    name means one model whatever runs it.
    """
    del backend
    is_path = _is_path(name)
    found = _find_path(Path(name)) if is_path else _find_name(name)
    if found is not None:
        return found
    if is_path:
        raise ModelNotFound(f"{name}: {_missing(Path(name))}")
    if name in ZOO:
        size = ZOO[name].remote.size / 1e6
        raise ModelNotFound(f"{name} is not here yet: `anymask models pull {name}` ({size:.0f} MB)")
    known = ", ".join(entry.name for entry in list_models())
    raise ModelNotFound(f"no model {name!r}: expected a path or one of {known}")


def pull(
    model: str | Published, *, progress: Progress | None = None, convert: Converter | None = None
) -> Path:
    """Fetch published weights into the cache, whole and checked; go on where an earlier try ended.

    `convert(source, target, name)`: writes them as safetensors with a card, and perhaps as ONNX files; the
    source is removed afterwards. Returns what `find_model` finds then. Raises ModelNotFound, DownloadError,
    StorageError.
    """
    published = model if isinstance(model, Published) else _published(model)
    found = _find_name(published.name)
    if found is None:
        target = models_folder() / published.name / published.file_name
        _refuse_offline(published, target)
        found = download(published.remote, target, progress=progress)
    if convert is None or found.suffix not in PUBLISHED_SUFFIXES:
        return found
    card = convert(found, found.with_name(f"{published.name}.safetensors"), published.name)
    found.unlink()
    return card


def models_folder() -> Path:
    """Where fetched models lie: `<cache>/models/<name>/`."""
    from anymask.settings import get_settings

    folder: Path = get_settings().cache_dir / "models"
    return folder


def _published(name: str) -> Published:
    if name in ZOO:
        return ZOO[name]
    if name in _embedded():
        raise ModelNotFound(f"{name} comes with the package; there is nothing to fetch")
    raise ModelNotFound(f"nothing to fetch for {name!r}: expected one of {', '.join(ZOO)}")


def _refuse_offline(published: Published, target: Path) -> None:
    from anymask.settings import get_settings

    if get_settings().offline:
        raise DownloadError(
            f"offline (ANYMASK_OFFLINE is set): fetch {published.remote.url} elsewhere and put it at {target}"
        )


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith((*SUFFIXES, *PUBLISHED_SUFFIXES))


def _find_path(path: Path) -> Path | None:
    if path.is_dir():
        cards = sorted(path.glob("*.json"))
        return cards[0] if len(cards) == 1 else None
    if path.suffix in PUBLISHED_SUFFIXES:
        return path if path.is_file() else None
    return _usable_card(ModelFiles.of(path).card)


def _missing(path: Path) -> str:
    """What a path lacks to be a model."""
    if path.is_dir():
        return f"expected a folder with one card (.json), found {len(list(path.glob('*.json')))}"
    files = ModelFiles.of(path)
    if not path.is_file() or path.suffix in PUBLISHED_SUFFIXES:
        return "no such file"
    if not files.card.is_file():
        return f"its card {files.card.name} is not beside it; `anymask export` writes both"
    return f"neither {files.weights.name} nor ONNX files are beside it"


def _find_name(name: str) -> Path | None:
    embedded, folder = EMBEDDED_FOLDER / f"{name}.json", models_folder() / name
    found = _usable_card(embedded) or _usable_card(folder / f"{name}.json")
    if found is None and name in ZOO and (folder / ZOO[name].file_name).is_file():
        return folder / ZOO[name].file_name
    return found


def _usable_card(card: Path) -> Path | None:
    """The card, when it and the weights of some kind are there."""
    files = ModelFiles.of(card)
    complete = files.weights.is_file() or (files.encoder.is_file() and files.decoder.is_file())
    return card if complete and card.is_file() else None


def _cards(folder: Path) -> list[str]:
    cards = folder.glob("*.json") if folder.is_dir() else ()
    return sorted(card.stem for card in cards if _usable_card(card))


def _embedded() -> list[str]:
    return _cards(EMBEDDED_FOLDER)


def _cached_names() -> list[str]:
    folder = models_folder()
    names = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    return [name for name in names if _find_name(name)]


def _entry(name: str) -> ModelEntry:
    path, published = _find_name(name), ZOO.get(name)
    if published is None:
        about = "comes with the package" if name in _embedded() else "own weights"
        return ModelEntry(name, about, "", 0, path)
    return ModelEntry(name, published.about, published.licence, published.remote.size, path)
