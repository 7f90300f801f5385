"""Reading images as people have them: any source, format, mode, depth and orientation ends as upright RGB."""

from __future__ import annotations

import io
import os
import socket
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from core_pictures import BLUE, EXTENSIONS, RED, corners, difference, encoded, with_orientation
from PIL import Image

from anymask.errors import BadImage
from anymask.images.reader import content_hash, image_size, read_image

LOSSY = {"JPEG": 12.0, "WEBP": 12.0, "GIF": 2.0}
STORED_AS = {  # how a camera stores an upright picture, by EXIF orientation
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


def png_of_size(width: int, height: int) -> bytes:
    """A header that claims a size, and hardly any pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + zlib.crc32(name + content).to_bytes(4)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("file_format", EXTENSIONS)
def test_every_format_is_read_from_path_bytes_and_file(file_format: str, tmp_path: Path) -> None:
    content = encoded(corners(), file_format)
    path = tmp_path / f"picture.{EXTENSIONS[file_format]}"
    path.write_bytes(content)
    expected = read_image(content)
    assert expected.dtype == np.uint8 and expected.flags.c_contiguous
    assert difference(expected, corners()) <= LOSSY.get(file_format, 0)
    with path.open("rb") as file:
        for source in (path, str(path), bytearray(content), memoryview(content), file, io.BytesIO(content)):
            assert np.array_equal(read_image(source), expected)


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(corners(), "PNG"))
    assert np.array_equal(read_image(path), corners())


def test_a_stream_that_cannot_seek_is_read() -> None:
    class Pipe(io.RawIOBase):
        rest = encoded(corners(), "PNG")

        def read(self, size: int = -1) -> bytes:
            taken, self.rest = (self.rest, b"") if size < 0 else (self.rest[:size], self.rest[size:])
            return taken

    assert np.array_equal(read_image(Pipe()), corners())


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_orientation_is_applied(orientation: int, file_format: str) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](corners()))
    content = encoded(stored, file_format, exif=with_orientation(orientation))
    assert difference(read_image(content), corners()) <= LOSSY.get(file_format, 0)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_orientation_of_a_pil_image_is_applied_without_changing_it(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](corners()))
    image = Image.open(io.BytesIO(encoded(stored, "PNG", exif=with_orientation(orientation))))
    assert np.array_equal(read_image(image), corners())
    assert image.size == stored.shape[1::-1] and image.getexif()[0x0112] == orientation


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0"])
def test_corrupt_metadata_does_not_spoil_a_photo(exif: bytes) -> None:
    assert difference(read_image(encoded(corners(), "JPEG", exif=exif)), corners()) <= LOSSY["JPEG"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV"])
def test_colour_modes_keep_their_colours(mode: str) -> None:
    picture = Image.fromarray(corners())
    converted = picture.convert("RGBA").convert(mode) if mode == "RGBa" else picture.convert(mode)
    assert difference(read_image(converted), corners()) <= 3


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_files_keep_their_colours(file_format: str) -> None:
    content = encoded(Image.fromarray(corners()).convert("CMYK"), file_format)
    assert difference(read_image(content), corners()) <= 12


@pytest.mark.parametrize("mode", ["L", "LA", "I", "I;16", "I;16B", "F"])
def test_grey_modes_become_grey(mode: str) -> None:
    grey = np.asarray(Image.fromarray(corners()).convert("L"))
    if mode == "I;16B":
        picture = Image.frombytes(mode, grey.shape[::-1], grey.astype(">u2").tobytes())
    else:
        array = grey.astype(np.uint16) if mode == "I;16" else grey
        picture = Image.fromarray(array) if mode == "I;16" else Image.fromarray(array).convert(mode)
    assert picture.mode == mode
    assert np.array_equal(read_image(picture), np.repeat(grey[:, :, None], 3, axis=2))


def test_black_and_white_becomes_black_and_white() -> None:
    inside = corners()[:, :, 0] > 100
    expected = np.repeat(inside[:, :, None], 3, axis=2) * 255
    for file_format in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(read_image(encoded(Image.fromarray(inside), file_format)), expected)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_grey_files_fill_the_range_of_their_bits(bits: int, file_format: str) -> None:
    ramp = np.linspace(0, 2**bits - 1, 32 * 32).reshape(32, 32)
    pixels = read_image(encoded(ramp.astype(np.uint16), file_format))
    assert np.abs(pixels[:, :, 0] - ramp / (2**bits - 1) * 255).max() <= 1


def test_measurements_in_a_file_are_stretched() -> None:
    heights = np.linspace(-300.0, 4000.0, 64, dtype=np.float32).reshape(8, 8)
    pixels = read_image(encoded(heights, "TIFF"))
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[-1, -1].tolist() == [255, 255, 255]


def test_a_file_without_any_value_is_refused() -> None:
    with pytest.raises(BadImage, match="no pixel has a value"):
        read_image(encoded(np.full((4, 4), np.nan, np.float32), "TIFF"))


@pytest.mark.parametrize(
    ("missing", "tag"),
    [(-9999, "-9999"), (-3.4028235e38, ""), (np.nan, "nan"), (-np.inf, ""), (5e4, "50000")],
)
def test_pixels_without_a_value_do_not_count_to_the_range_and_are_black(missing: float, tag: str) -> None:
    heights = np.linspace(-300.0, 4000.0, 64, dtype=np.float32).reshape(8, 8)
    whole = read_image(encoded(heights, "TIFF"))
    heights[3, 2:5] = missing
    pixels = read_image(encoded(heights, "TIFF", tiffinfo={42113: tag} if tag else {}))
    assert (pixels[3, 2:5] == 0).all()
    whole[3, 2:5] = 0
    assert np.array_equal(pixels, whole)


def test_the_end_of_16_bits_is_no_value_and_a_tagged_one_is_none_either() -> None:
    heights = np.linspace(100, 3000, 64).astype(np.int32).reshape(8, 8)
    pixels = read_image(encoded(np.where(heights < 600, -32768, heights), "TIFF"))
    assert (pixels[heights < 600] == 0).all() and len(np.unique(pixels)) > 30
    counts = np.where(heights < 600, 65535, heights).astype(np.uint16)
    pixels = read_image(encoded(counts, "TIFF", tiffinfo={42113: "65535"}))
    assert (pixels[heights < 600] == 0).all() and pixels.max() > 150


def test_transparency_is_laid_over_white() -> None:
    rgba = np.dstack([corners(), np.full((24, 40), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    half = rgba.copy()
    half[:, :20, 3] = 128
    clear, mixed = read_image(encoded(rgba, "PNG")), read_image(Image.fromarray(half))
    assert (clear[:, :20] == 255).all() and np.array_equal(clear[:, 20:], corners()[:, 20:])
    assert mixed[0, 0].tolist() == [round((c * 128 + 255 * 127) / 255) for c in RED]


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(file_format: str) -> None:
    picture = Image.fromarray(corners()).quantize(4)
    first = int(np.asarray(picture)[0, 0])
    pixels = read_image(encoded(picture, file_format, transparency=first))
    assert (pixels[:12, :20] == 255).all() and difference(pixels[12:], corners()[12:]) < 3


def test_transparency_per_palette_entry_and_per_colour_is_read() -> None:
    picture = Image.fromarray(corners()).quantize(4)
    per_entry = read_image(encoded(picture, "PNG", transparency=bytes(4)))
    per_colour = read_image(encoded(corners(), "PNG", transparency=(250, 10, 10)))
    grey = read_image(encoded(Image.fromarray(corners()).convert("L"), "PNG", transparency=128))
    assert (per_entry == 255).all()
    assert (per_colour[:12, :20] == 255).all() and np.array_equal(per_colour[12:], corners()[12:])
    assert (grey[12:, 20:] == 255).all()


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame_is_read(file_format: str) -> None:
    frames = [Image.fromarray(p) for p in (corners(), corners()[::-1].copy())]
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert difference(read_image(content), corners()) <= LOSSY.get(file_format, 0)


def test_a_photo_of_several_strips_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.core.resample.STRIP_PIXELS", 90)
    rgba = np.dstack([corners(), np.full((24, 40), 255, np.uint8)])
    deep = corners().astype(np.uint16) * 257
    content = encoded(corners().transpose(1, 0, 2).copy(), "PNG", exif=with_orientation(5))
    for source in (encoded(corners(), "PNG"), content, rgba, deep):
        assert np.array_equal(read_image(source), corners())


@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000)])
def test_extreme_shapes_are_read(size: tuple[int, int]) -> None:
    assert read_image(encoded(Image.new("RGB", size, "red"), "PNG")).shape == (*size[::-1], 3)


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    with pytest.raises(BadImage, match=r"at most 200,000,000 pixels.*got 60000 x 50000"):
        read_image(png_of_size(60_000, 50_000))
    with pytest.raises(BadImage, match="at most 100 pixels"):
        read_image(encoded(corners(), "JPEG"), max_pixels=100)
    with pytest.raises(BadImage, match="at most 100 pixels"):
        read_image(corners(), max_pixels=100)


@pytest.mark.parametrize("file_format", EXTENSIONS)
def test_pillows_own_limit_does_not_warn(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    monkeypatch.setattr("anymask.images.reader.PILLOW_PIXELS", 600)
    assert read_image(encoded(corners(), file_format)).shape == (24, 40, 3)


def test_other_warnings_and_their_filters_stay_as_they_are() -> None:
    read_image(encoded(corners(), "JPEG"))
    before = list(warnings.filters)
    read_image(encoded(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"))
    assert list(warnings.filters) == before


def test_a_pixel_limit_in_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.settings import get_settings

    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "50")
    get_settings.cache_clear()
    try:
        with pytest.raises(BadImage, match="at most 50 pixels"):
            read_image(corners())
    finally:
        get_settings.cache_clear()


BAD_FILES = {
    "empty": (b"", "got an empty file"),
    "text": (b"hello, this is not an image", r"got a file that begins with 'hello, t'"),
    "web page": (b"<!DOCTYPE html><html>", "a web page"),
    "pdf": (b"%PDF-1.7 and more to come", "PDF"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "HEIC"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt and so on", "begins with"),
    "signature only": (b"\xff\xd8\xff", "damaged"),
    "no width": (png_of_size(0, 5), "damaged|at least one pixel"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_what_is_not_an_image_is_one_clear_line(case: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[case]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=message) as caught:
        read_image(path)
    assert "photo.jpg" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("file_format", EXTENSIONS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(file_format: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(noise, file_format)
    with pytest.raises(BadImage, match="damaged"):
        read_image(content[: int(len(content) * share)])


def test_a_tiff_that_claims_more_rows_than_it_has_is_refused() -> None:
    content = encoded(corners(), "TIFF")
    rows, many = (struct.pack("<HHII", 257, 4, 1, n) for n in (24, 5000))
    short_rows, short_many = (struct.pack("<HHIHH", 257, 3, 1, n, 0) for n in (24, 5000))
    damaged = content.replace(rows, many).replace(short_rows, short_many)
    assert damaged != content
    with pytest.raises(BadImage, match="expected 40 x 5000 pixels, its strips hold 960"):
        read_image(damaged)


def test_a_path_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"nothing\.jpg: no such file"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(BadImage, match="expected a regular file, got a folder"):
        read_image(tmp_path)
    with pytest.raises(BadImage, match="null"):
        read_image("photo\0.jpg")


@pytest.mark.parametrize("read", [read_image, image_size])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_regular_file_is_refused_unopened(
    read: Callable[[Path], object], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    if kind == "pipe":
        os.mkfifo("photo.jpg")
    else:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("photo.jpg")
    with pytest.raises(BadImage, match=r"photo\.jpg: expected a regular file, got a pipe, a socket"):
        read(Path("photo.jpg"))


@pytest.mark.parametrize("source", [None, 7, [[1, 2], [3, 4]], io.StringIO("text")])
def test_what_is_no_source_is_refused(source: object) -> None:
    with pytest.raises(BadImage, match="expected"):
        read_image(source)


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO(encoded(corners(), "PNG"))
    file.close()
    with pytest.raises(BadImage, match="closed"):
        read_image(file)


def test_a_broken_pil_image_is_refused() -> None:
    content = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "PNG")
    image = Image.open(io.BytesIO(content[:2000]))
    with pytest.raises(BadImage, match="damaged"):
        read_image(image)


def test_many_threads_read_the_same() -> None:
    contents = [encoded(corners(), f, exif=with_orientation(1)) for f in ("JPEG", "PNG", "WEBP")] * 8
    expected = [read_image(c) for c in contents]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(read_image, contents))
    assert all(np.array_equal(a, b) for a, b in zip(read, expected, strict=True))


def test_the_same_pixels_have_the_same_hash() -> None:
    flat = corners().reshape(-1, 1, 3)
    assert content_hash(corners()) == content_hash(read_image(encoded(corners(), "PNG")))
    assert content_hash(corners()) == content_hash(np.asfortranarray(corners()))
    assert len({content_hash(corners()), content_hash(flat), content_hash(corners()[::-1])}) == 3


def test_unusual_tiff_is_read_with_the_extra() -> None:
    tifffile = pytest.importorskip("tifffile")
    floats = corners().astype(np.float32) / 255
    bands = np.dstack([corners()] * 3).astype(np.float64) / 255
    many = {"photometric": "minisblack", "planarconfig": "contig"}
    for array, options in ((floats, {"photometric": "rgb"}), (bands, many)):
        file = io.BytesIO()
        tifffile.imwrite(file, array, **options)
        assert np.array_equal(read_image(file.getvalue())[:, :, 0], corners()[:, :, 0])
        with pytest.raises(BadImage, match="at most 5 pixels"):
            read_image(file.getvalue(), max_pixels=5)


def test_unusual_tiff_names_the_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, corners().astype(np.float32) / 255, photometric="rgb")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(BadImage, match=r'pip install "anymask\[tiff\]"'):
        read_image(file.getvalue())


def test_photos_of_the_packs_are_read(examples: Path) -> None:
    for path in sorted(examples.glob("*.jpg")):
        with Image.open(path) as image:
            width, height = image.size
        assert read_image(path).shape == (height, width, 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_in_the_header_is_that_of_the_upright_image(
    orientation: int, file_format: str, tmp_path: Path
) -> None:
    path = tmp_path / f"photo.{EXTENSIONS[file_format]}"
    Image.new("RGB", (7, 4)).save(path, file_format, exif=with_orientation(orientation))
    assert image_size(path) == image_size(path.read_bytes()) == read_image(path).shape[:2]


def test_a_size_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("words")
    Image.new("L", (40, 30)).save(tmp_path / "large.png")
    with pytest.raises(BadImage, match="expected JPEG"):
        image_size(tmp_path / "text.jpg")
    with pytest.raises(BadImage, match=r"missing\.jpg: no such file"):
        image_size(tmp_path / "missing.jpg")
    with pytest.raises(BadImage, match="at most 1,000 pixels"):
        image_size(tmp_path / "large.png", max_pixels=1000)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_kinds_of_tiff_that_need_the_extra_have_a_size_and_an_orientation(orientation: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    bands = np.dstack([corners()] * 2)
    kinds = (
        (corners() / 255, {"photometric": "rgb"}),
        (corners()[:, :, 0].astype(np.float64) * 1000 - 500, {}),
        (corners()[:, :, 0].astype(np.float16), {}),
        (bands, {"photometric": "minisblack", "planarconfig": "contig"}),
    )
    for array, options in kinds:
        file = io.BytesIO()
        tifffile.imwrite(file, array, extratags=[(0x0112, 3, 1, orientation, True)], **options)
        pixels = read_image(file.getvalue())
        assert image_size(file.getvalue()) == pixels.shape[:2]
        expected = {1: (250, 10), 3: (128, 10), 6: (10, 250)}[orientation]  # red, grey and blue come first
        assert (pixels[0, 0, 0] > pixels[-1, -1, 0]) == (expected[0] > {1: 128, 3: 250, 6: 10}[orientation])


@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_camera_file_that_begins_with_a_thumbnail_the_largest_page_is_read(orientation: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        tags = [(0x0112, 3, 1, orientation, True)]
        writer.write(corners()[::4, ::4].copy(), subifds=1, subfiletype=1, photometric="rgb", extratags=tags)
        writer.write(corners(), photometric="rgb")
    pixels = read_image(file.getvalue())
    assert image_size(file.getvalue()) == pixels.shape[:2] == ((24, 40) if orientation == 1 else (40, 24))
    assert pixels[0, 0].tolist() == list(RED if orientation == 1 else BLUE)


def test_a_camera_raw_with_nothing_but_a_thumbnail_is_refused() -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(corners()[::4, ::4].copy(), subifds=1, subfiletype=1, photometric="rgb")
        writer.write(corners()[:, :, 0].astype(np.uint16), photometric="cfa")
    for read in (read_image, image_size):
        with pytest.raises(
            BadImage, match="a camera raw: expected it developed, .* only a picture of 10 x 6"
        ):
            read(file.getvalue())
