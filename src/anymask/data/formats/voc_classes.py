"""Names, numbers and colours of the classes of a Pascal VOC data set."""

from __future__ import annotations

from collections.abc import Mapping

from anymask.data.record import Blob

Colour = tuple[int, int, int]
NAMES_OF_VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
BACKGROUND = "background"
NOT_CLASSES = ("__ignore__",)


def colour(number: int) -> Colour:
    """VOC's colour of a number: its bits are dealt to red, green and blue in turn, highest first."""
    red = green = blue = 0
    for place in range(8):
        bits = number >> (3 * place)
        red |= (bits & 1) << (7 - place)
        green |= (bits >> 1 & 1) << (7 - place)
        blue |= (bits >> 2 & 1) << (7 - place)
    return red, green, blue


COLOURS: dict[Colour, int] = {colour(number): number for number in range(256)}
PALETTE = bytes(value for number in range(256) for value in colour(number))


def classes_of(files: Mapping[str, Blob]) -> tuple[dict[int, str], dict[Colour, int]]:
    """Name and colour of each number, as `labelmap.txt` or `class_names.txt` says, else those of VOC itself.

    Raises BadInput when such a file cannot be read.
    """
    listed = {name.rpartition("/")[2].lower(): blob for name, blob in files.items() if name.endswith(".txt")}
    if "labelmap.txt" in listed:
        return _of_labelmap(_lines(listed["labelmap.txt"]))
    if "class_names.txt" in listed:
        names = [line for line in _lines(listed["class_names.txt"]) if line not in NOT_CLASSES]
        return dict(enumerate(names)), COLOURS
    return dict(enumerate((BACKGROUND, *NAMES_OF_VOC))), COLOURS


def _lines(blob: Blob) -> list[str]:
    return [line.strip() for line in blob.read_text().splitlines() if line.strip()]


def _of_labelmap(lines: list[str]) -> tuple[dict[int, str], dict[Colour, int]]:
    """`name:red,green,blue:parts:actions`, numbered from 0."""
    names, colours = {}, {COLOURS_OF_VOID: 255}
    for number, line in enumerate(line for line in lines if not line.startswith("#")):
        name, *rest = line.rsplit(":", 3)
        names[number] = name
        values = rest[0].split(",") if rest else []
        if len(values) == 3 and all(value.strip().isdigit() for value in values):
            red, green, blue = (int(value) for value in values)
            colours[red, green, blue] = number
    return names, colours


COLOURS_OF_VOID = colour(255)


def labelmap(numbers: Mapping[str, int]) -> bytes:
    """`labelmap.txt` of classes numbered from 1 without gaps."""
    ordered = sorted(numbers, key=lambda name: numbers[name])
    lines = ["# label:color_rgb:parts:actions"]
    for number, name in enumerate([BACKGROUND, *ordered]):
        lines.append(f"{' '.join(name.split())}:{','.join(map(str, colour(number)))}::")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")
