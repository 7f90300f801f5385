"""The everyday photos that a round of the data engine rehearses: writes `src/anymask/engine/rehearsal/`.

    python recipes/rehearsal.py

The photos of `examples/` and two that lie there already (CC0 or in the public domain: its README), at most
512 pixels, with the automatic masks of the shipped model that are as probable as 0.2 or more.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

import anymask
from anymask.data.record import annotation_of

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src" / "anymask" / "engine" / "rehearsal"
LONG_SIDE, QUALITY = 512, 80
LEAST_PROBABILITY, LEAST_AREA = 0.2, 200


def main() -> None:
    model = anymask.load("lite")
    for path in sorted((ROOT / "examples").glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((LONG_SIDE, LONG_SIDE))
        photo.save(OUT / f"{path.stem}.webp", quality=QUALITY)
    for small in sorted(OUT.glob("*.webp")):
        photo = Image.open(small)
        found = model.everything(small)
        sure = [f.mask for f in found if f.probability >= LEAST_PROBABILITY and f.mask.area >= LEAST_AREA]
        image = {
            "image_id": small.stem,
            "width": photo.width,
            "height": photo.height,
            "file_name": small.name,
        }
        annotations = [annotation_of(number, mask) for number, mask in enumerate(sure, 1)]
        record = {"image": image, "annotations": annotations, "source": "rehearsal"}
        (OUT / f"{small.stem}.json").write_text(json.dumps(record) + "\n", "utf-8")
        print(f"{small.stem}: {len(sure)} masks")


if __name__ == "__main__":
    main()
