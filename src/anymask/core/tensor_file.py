"""Named arrays in one file, in the safetensors format, with NumPy alone.

The format is 8 bytes (length of the header, little endian), a JSON header with dtype, shape and place of
each array, and the bytes themselves. Any safetensors library reads it, and nothing in it can run. Knows no
models.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from anymask.errors import BadInput, StorageError

DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
METADATA = "__metadata__"
MAX_HEADER_BYTES = 1 << 24
ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies in its file: `start` and `length` in bytes, from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write float16 and float32 arrays, all or nothing. Raises StorageError."""
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name, array in tensors.items():
        offsets = [end, end := end + array.nbytes]
        header[name] = {"dtype": kinds[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for array in tensors.values():
                file.write(np.ascontiguousarray(array).data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a file. Raises BadInput when it is missing, damaged or none of these."""
    try:
        with path.open("rb") as file:
            places, metadata = read_header(file)
            arrays = {name: _read(file, place) for name, place in places.items()}
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise BadInput(f"{path} is damaged or no safetensors file: {error}") from error
    return arrays, metadata


def read_header(file: BinaryIO) -> tuple[dict[str, Place], dict[str, str]]:
    """Places and metadata of the arrays.

    A damaged file raises ValueError, KeyError, TypeError, AttributeError or struct.error.
    """
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(file.read(length))
    metadata = header.pop(METADATA, {})
    return {name: _place(fields, 8 + length) for name, fields in header.items()}, dict(metadata)


def _place(fields: dict[str, Any], data_start: int) -> Place:
    first, last = fields["data_offsets"]
    return Place(fields["dtype"], tuple(fields["shape"]), data_start + first, last - first)


def _read(file: BinaryIO, place: Place) -> np.ndarray:
    dtype = DTYPES[place.dtype]
    if place.length != dtype.itemsize * math.prod(place.shape):
        raise ValueError(f"{place.length} bytes for shape {place.shape}")
    file.seek(place.start)
    content = file.read(place.length)
    if len(content) != place.length:
        raise ValueError("it ends too early")
    return np.frombuffer(content, dtype).reshape(place.shape)
