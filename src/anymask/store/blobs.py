"""BlobStore: files by the SHA-256 of their content, in a folder or in a bucket of an S3-like server.

The same content is stored once. What is read is checked: damaged content is never handed out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from anymask.errors import BadInput, MissingExtra, StorageError, mapped
from anymask.files import make_folder

DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Methods take and give the SHA-256 of a content in hexadecimal digits; all raise StorageError."""

    def put(self, content: bytes) -> str:
        """On disk when this returns; the same content again changes nothing."""

    def get(self, digest: str) -> bytes:
        """Raises BadInput when there is none, StorageError when it is damaged."""

    def has(self, digest: str) -> bool: ...

    def delete(self, digest: str) -> None:
        """What is not there stays so."""

    def each(self) -> Iterator[str]:
        """All of them, in no order."""


def open_blobs(place: str | Path) -> BlobStore:
    """`place`: a folder, or `s3://BUCKET/PREFIX`, with `?endpoint=URL&region=NAME` for servers of one's own.

    Keys of S3 come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the machine's role.
    """
    text = str(place)
    if text.startswith("s3://"):
        return S3Blobs(text)
    if "://" in text:
        raise BadInput(f"expected a folder or s3://BUCKET/PREFIX, got {text!r}")
    return LocalBlobs(Path(text))


def check_digest(digest: str) -> str:
    """Raises BadInput for what is no SHA-256: nothing else becomes a path."""
    if not DIGEST.fullmatch(digest):
        raise BadInput(f"expected a SHA-256 in 64 hexadecimal digits, got {digest[:80]!r}")
    return digest


def _checked(content: bytes, digest: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != digest:
        raise StorageError(f"blob {digest} is damaged: expected its SHA-256, got another")
    return content


class LocalBlobs:
    """In a folder: `ab/cdef...`. Written beside, flushed to disk, then renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.is_file() and path.stat().st_size == len(content):
            return digest
        folder = make_folder(path.parent)
        with mapped(OSError, StorageError, f"cannot write {path}"):
            _write(folder, path, content)
        return digest

    def get(self, digest: str) -> bytes:
        path = self._path(digest)
        with mapped(OSError, StorageError, f"cannot read {path}"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                raise BadInput(f"expected a blob that is stored, got {digest}") from None
        return _checked(content, digest)

    def has(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def delete(self, digest: str) -> None:
        with mapped(OSError, StorageError, f"cannot delete blob {digest}"):
            self._path(digest).unlink(missing_ok=True)

    def each(self) -> Iterator[str]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            digest = path.parent.name + path.name
            if DIGEST.fullmatch(digest):
                yield digest

    def _path(self, digest: str) -> Path:
        return self.folder / check_digest(digest)[:2] / digest[2:]


def _write(folder: Path, path: Path, content: bytes) -> None:
    """A killed writer leaves at most a `.part`; several at once are harmless: all have the same content."""
    number, name = tempfile.mkstemp(suffix=".part", prefix=".", dir=folder)
    try:
        with open(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    if os.name != "nt":
        for one in (folder, folder.parent):
            number = os.open(one, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


class S3Blobs:
    """In a bucket: `PREFIX/ab/cdef...`. The only class that knows obstore."""

    def __init__(self, url: str) -> None:
        try:
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError:
            raise MissingExtra("blobs in S3 need obstore: pip install 'anymask[engine]'") from None
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = options.keys() - {"endpoint", "region"}
        if not parts.netloc or unknown:
            raise BadInput(f"expected s3://BUCKET/PREFIX?endpoint=URL&region=NAME, got {url!r}")
        plain = options.get("endpoint", "").startswith("http://")
        self._library, self._error = obstore, (BaseError, OSError)
        self._store: Any = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": plain},
            virtual_hosted_style_request=False if "endpoint" in options else None,
            config=options,  # type: ignore[arg-type]
        )

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        with mapped(self._error, StorageError, "cannot write to the bucket"):
            if not self.has(digest):
                self._library.put(self._store, _key(digest), content)
        return digest

    def get(self, digest: str) -> bytes:
        with mapped(self._error, StorageError, f"cannot read blob {digest}"):
            try:
                content = bytes(self._library.get(self._store, _key(digest)).bytes())
            except FileNotFoundError:
                raise BadInput(f"expected a blob that is stored, got {digest}") from None
        return _checked(content, digest)

    def has(self, digest: str) -> bool:
        with mapped(self._error, StorageError, "cannot reach the bucket"):
            try:
                self._library.head(self._store, _key(digest))
            except FileNotFoundError:
                return False
        return True

    def delete(self, digest: str) -> None:
        with (
            mapped(self._error, StorageError, f"cannot delete blob {digest}"),
            contextlib.suppress(FileNotFoundError),
        ):
            self._library.delete(self._store, _key(digest))

    def each(self) -> Iterator[str]:
        with mapped(self._error, StorageError, "cannot list the bucket"):
            for page in self._library.list(self._store):
                for one in page:
                    digest = "".join(one["path"].rsplit("/", 2)[-2:])
                    if DIGEST.fullmatch(digest):
                        yield digest


def _key(digest: str) -> str:
    return f"{check_digest(digest)[:2]}/{digest[2:]}"
