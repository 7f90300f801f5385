"""The models by name: the default in the package, and published weights with their addresses and checksums.

Nothing is fetched unless `pull` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anymask.core.progress import Progress
from anymask.errors import DownloadError, ModelNotFound
from anymask.hub.card import SUFFIXES, ModelFiles
from anymask.hub.download import Remote, download

if TYPE_CHECKING:
    from anymask.settings import Settings

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


CATALOG: Mapping[str, Published] = {
    name: Published(name, Remote(url, sha256, size), "Apache-2.0", about)
    for name, url, size, about, sha256 in (
        ("mobile_sam", f"{MOBILE_SAM_URL}/mobile_sam.pt", 40_728_226,
         "MobileSAM: TinyViT encoder, 10 M parameters",
         "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f"),
        ("sam_vit_b", f"{SAM_URL}/sam_vit_b_01ec64.pth", 375_042_383,
         "Segment Anything, ViT-B, 94 M parameters",
         "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
        ("sam_vit_l", f"{SAM_URL}/sam_vit_l_0b3195.pth", 1_249_524_607,
         "Segment Anything, ViT-L, 312 M parameters",
         "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
        ("sam_vit_h", f"{SAM_URL}/sam_vit_h_4b8939.pth", 2_564_550_879,
         "Segment Anything, ViT-H, 641 M parameters",
         "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"),
    )
}  # fmt: skip


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
    cached = (path.name for path in models_folder().glob("*") if _find_name(path.name))
    others = sorted({*CATALOG, *cached} - set(embedded))
    return [_entry(name) for name in (*embedded, *others)]


def find_model(name: str) -> Path:
    """The card of a model, by name or by the path of any of its files (published .pth and .pt stand for
    themselves).

    Raises ModelNotFound that says how to get it, or which names there are.
    """
    if "/" in name or "\\" in name or name.endswith((*SUFFIXES, *PUBLISHED_SUFFIXES)):
        return _find_path(Path(name))
    if found := _find_name(name):
        return found
    if name in CATALOG:
        size = CATALOG[name].remote.size / 1e6
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
        target, url = models_folder() / published.name / published.file_name, published.remote.url
        if _settings().offline:
            raise DownloadError(
                f"offline (ANYMASK_OFFLINE is set): fetch {url} elsewhere and put it at {target}"
            )
        found = download(published.remote, target, progress=progress)
    if convert is None or found.suffix not in PUBLISHED_SUFFIXES:
        return found
    card = convert(found, found.with_name(f"{published.name}.safetensors"), published.name)
    found.unlink()
    return card


def models_folder() -> Path:
    """Where fetched models lie: `<cache>/models/<name>/`."""
    return _settings().cache_dir / "models"


def _settings() -> Settings:
    from anymask.settings import get_settings

    return get_settings()


def _published(name: str) -> Published:
    if name in CATALOG:
        return CATALOG[name]
    if name in _embedded():
        raise ModelNotFound(f"{name} comes with the package; there is nothing to fetch")
    raise ModelNotFound(f"nothing to fetch for {name!r}: expected one of {', '.join(CATALOG)}")


def _find_path(path: Path) -> Path:
    """Raises ModelNotFound that says what the path lacks to be a model."""
    files, is_published = ModelFiles.of(path), path.suffix in PUBLISHED_SUFFIXES
    if path.is_dir():
        cards = list(path.glob("*.json"))
        if len(cards) == 1:
            return cards[0]
        missing = f"expected a folder with one card (.json), found {len(cards)}"
    elif is_published and path.is_file():
        return path
    elif not is_published and _is_usable(files.card):
        return files.card
    elif is_published or not path.is_file():
        missing = "no such file"
    elif not files.card.is_file():
        missing = f"its card {files.card.name} is not beside it; `anymask export` writes both"
    else:
        missing = f"neither {files.weights.name} nor ONNX files are beside it"
    raise ModelNotFound(f"{path}: {missing}")


def _find_name(name: str) -> Path | None:
    folder = models_folder() / name
    for card in (EMBEDDED_FOLDER / f"{name}.json", folder / f"{name}.json"):
        if _is_usable(card):
            return card
    published = folder / CATALOG[name].file_name if name in CATALOG else None
    return published if published and published.is_file() else None


def _is_usable(card: Path) -> bool:
    """Whether the card and the weights of some kind are there."""
    files = ModelFiles.of(card)
    return card.is_file() and (files.weights.is_file() or files.has_graphs)


def _embedded() -> list[str]:
    return sorted(card.stem for card in EMBEDDED_FOLDER.glob("*.json") if _is_usable(card))


def _entry(name: str) -> ModelEntry:
    path, published = _find_name(name), CATALOG.get(name)
    if published is None:
        about = "comes with the package" if name in _embedded() else "own weights"
        return ModelEntry(name, about, "", 0, path)
    return ModelEntry(name, published.about, published.licence, published.remote.size, path)
