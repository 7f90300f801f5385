"""Writes the pictures of README and how-to from the example photos: docs/images/demo.jpg and edges.jpg.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import anymask
from anymask import EncodedImage, Mask, Prompt
from anymask.drawing import Drawn, contact_sheet, everything_overlay, overlay

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, IMAGES = ROOT / "examples", ROOT / "docs" / "images"
TILE_WH, CAPTION, GAP, COLUMNS = (420, 315), 26, 6, 4
WORDS = (("coffee.jpg", "spoon"), ("cat.jpg", "cat"))
PAPER, INK = (255, 255, 255), (24, 24, 27)


def tile(picture: Image.Image, caption: str) -> Image.Image:
    """The picture, padded to the common shape, with its caption below."""
    page = Image.new("RGB", (TILE_WH[0], TILE_WH[1] + CAPTION), PAPER)
    page.paste(ImageOps.pad(picture, TILE_WH, Image.Resampling.LANCZOS, PAPER))
    font = ImageFont.load_default(15)
    ImageDraw.Draw(page).text((4, TILE_WH[1] + 4), caption, fill=INK, font=font)
    return page


def drawn(image: EncodedImage, mask: Mask, prompt: Prompt) -> Image.Image:
    assert image.pixels_HW3 is not None
    return overlay(image.pixels_HW3, [Drawn(mask, prompt)])


def named(image: EncodedImage, word: str) -> Image.Image:
    """All that a word finds."""
    assert image.pixels_HW3 is not None
    masks = [found.mask for found in image.find(word).masks]
    return tile(everything_overlay(image.pixels_HW3, masks), f'the word "{word}"')


def demo(model: anymask.Model) -> Image.Image:
    """The candidates of one click, then two clicks, a box, everything, and words."""
    raccoon, city = model.encode(EXAMPLES / "raccoon.jpg"), model.encode(EXAMPLES / "city.jpg")
    click = Prompt.of(points=[(590, 460)])
    answer = raccoon.segment_batch([click])[0]
    tiles = [
        tile(
            drawn(raccoon, one.mask, click),
            f"one click, candidate {number}: {one.probability:.0%}",
        )
        for number, one in enumerate(answer, 1)
    ]
    clicks, box = Prompt.of(points=[(590, 460), (150, 250)]), Prompt.of(box=(300, 65, 455, 406))
    tiles.append(tile(drawn(raccoon, raccoon.segment_batch([clicks])[0].best.mask, clicks), "a second click"))
    tiles.append(tile(drawn(city, city.segment_batch([box])[0].best.mask, box), "a box"))
    assert raccoon.pixels_HW3 is not None
    masks = [found.mask for found in raccoon.everything(min_probability=0.2)]
    tiles.append(tile(everything_overlay(raccoon.pixels_HW3, masks), "everything, without prompts"))
    tiles += [named(model.encode(EXAMPLES / photo), word) for photo, word in WORDS]
    return contact_sheet(tiles, COLUMNS, GAP)


def edges(model: anymask.Model) -> Image.Image:
    """A photo beside its edges, dark on white."""
    image = model.encode(EXAMPLES / "coffee.jpg")
    assert image.pixels_HW3 is not None
    strength_HW = image.detect_edges()
    lines = Image.fromarray((255 * (1 - strength_HW)).astype("uint8")).convert("RGB")
    return contact_sheet([Image.fromarray(image.pixels_HW3), lines], 2, GAP)


def main() -> None:
    model = anymask.load()
    demo(model).save(IMAGES / "demo.jpg", quality=86, optimize=True)
    edges(model).save(IMAGES / "edges.jpg", quality=86, optimize=True)


if __name__ == "__main__":
    main()
