"""Thousands of damaged image files: each is read or refused, none crashes, hangs, warns or eats memory."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from core_pictures import corners, encoded, with_orientation
from PIL import Image

from anymask.errors import BadImage
from anymask.images.reader import image_size, read_image

PER_FILE = 200
MAX_PIXELS = 1_000_000
INTERESTING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


@cache
def seeds() -> dict[str, bytes]:
    """Small files of every format, most of the ways it is stored in, and some with metadata."""
    picture = Image.fromarray(corners(24, 40))
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    exif = with_orientation(6)
    return {
        "jpeg": encoded(picture, "JPEG", exif=exif),
        "jpeg-progressive": encoded(noise, "JPEG", progressive=True),
        "jpeg-cmyk": encoded(picture.convert("CMYK"), "JPEG"),
        "png": encoded(picture, "PNG", exif=exif),
        "png-palette": encoded(picture.quantize(4), "PNG", transparency=0),
        "png-deep": encoded(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257, "PNG"),
        "webp": encoded(picture, "WEBP", exif=exif),
        "webp-lossless": encoded(noise.convert("RGBA"), "WEBP", lossless=True),
        "webp-animated": encoded(picture, "WEBP", save_all=True, append_images=[noise.resize(picture.size)]),
        "tiff": encoded(picture, "TIFF", exif=exif),
        "tiff-lzw": encoded(noise, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encoded(picture, "TIFF", compression="jpeg"),
        "tiff-float": encoded(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), "TIFF"),
        "gif": encoded(picture, "GIF", save_all=True, append_images=[noise.resize(picture.size)]),
        "bmp": encoded(picture, "BMP"),
        "bmp-palette": encoded(picture.quantize(4), "BMP"),
    }


def flip_bits(content: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def overwrite(content: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 4))):
        content[rng.randrange(len(content))] = rng.choice(INTERESTING)
    return bytes(content)


def damage_header(content: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 2, 4))):
        content[rng.randrange(min(64, len(content)))] = rng.randrange(256)
    return bytes(content)


def large_number(content: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(content) - 4))
    content[at : at + 4] = rng.choice((b"\xff" * 4, b"\x7f" + b"\xff" * 3, bytes(4), b"\xff" * 3 + b"\x7f"))
    return bytes(content)


def cut_the_end(content: bytearray, rng: random.Random) -> bytes:
    return bytes(content[: rng.randrange(len(content))])


def drop_a_piece(content: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return bytes(content[:at] + content[at + rng.choice((1, 3, 16)) :])


def repeat_a_piece(content: bytearray, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.choice((1, 12, 64))
    return bytes(content[:at] + content[at : at + length] * rng.choice((2, 30)) + content[at:])


def insert_noise(content: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return bytes(content[:at] + rng.randbytes(rng.choice((1, 7, 200))) + content[at:])


def splice_with_another(content: bytearray, rng: random.Random) -> bytes:
    other = rng.choice(list(seeds().values()))
    return bytes(content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :])


MUTATIONS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    flip_bits,
    overwrite,
    damage_header,
    large_number,
    cut_the_end,
    drop_a_piece,
    repeat_a_piece,
    insert_noise,
    splice_with_another,
)


def mutants(name: str, count: int = PER_FILE) -> list[bytes]:
    """The same ones every time."""
    rng = random.Random(name)
    original = seeds()[name]
    return [MUTATIONS[i % len(MUTATIONS)](bytearray(original), rng) for i in range(count)]


def test_there_are_at_least_two_thousand_different_files() -> None:
    assert len({content for name in seeds() for content in mutants(name)}) >= 2000


@pytest.mark.parametrize("name", seeds())
def test_a_damaged_file_is_read_or_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = {True: 0, False: 0}
    for content in mutants(name):
        try:
            pixels = read_image(content, max_pixels=MAX_PIXELS)
        except BadImage as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
        else:
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
            outcomes[True] += 1
    assert outcomes[False] >= PER_FILE // 10, outcomes
    if "tiff" not in name:  # libtiff tells the terminal what is wrong, past Python
        assert capfd.readouterr() == ("", "")


def test_an_undamaged_file_is_read() -> None:
    assert all(read_image(content).size for content in seeds().values())


@pytest.mark.slow
@pytest.mark.parametrize("name", seeds())
def test_two_thousand_damaged_files_of_a_kind_take_under_a_second_each(name: str) -> None:
    for content in mutants(name, 2000):
        started = time.perf_counter()
        for read in (read_image, image_size):
            with contextlib.suppress(BadImage):
                read(content, max_pixels=MAX_PIXELS)
        assert time.perf_counter() - started < 1
