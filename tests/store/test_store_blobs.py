"""Blobs by the hash of their content, in a folder and in S3."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from anymask.errors import BadInput, StorageError
from anymask.store.blobs import BlobStore, open_blobs

CONTENT = b"a mask or two"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    place = tmp_path / "blobs" if request.param == "folder" else request.getfixturevalue("s3_url")
    return open_blobs(place)


def test_what_is_put_is_there(blobs: BlobStore) -> None:
    assert not blobs.has(DIGEST)
    assert blobs.put(CONTENT) == blobs.put(CONTENT) == DIGEST
    assert blobs.has(DIGEST) and blobs.get(DIGEST) == CONTENT
    big = bytes(12 << 20)
    other = blobs.put(big)
    assert blobs.get(other) == big
    assert sorted(blobs.each()) == sorted([DIGEST, other])
    for digest in (DIGEST, other, DIGEST):
        blobs.delete(digest)
    assert list(blobs.each()) == []
    with pytest.raises(BadInput, match="expected a blob that is stored"):
        blobs.get(DIGEST)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), f"{DIGEST}\n", "ab/cd"])
def test_only_a_digest_is_a_name(blobs: BlobStore, name: str) -> None:
    for method in (blobs.get, blobs.has, blobs.delete):
        with pytest.raises(BadInput, match="expected a SHA-256"):
            method(name)


def test_many_threads_put_the_same(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path)
    threads = [threading.Thread(target=blobs.put, args=(CONTENT,)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [DIGEST[2:]]


def test_a_damaged_blob_is_not_handed_out(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path)
    blobs.put(CONTENT)
    (tmp_path / DIGEST[:2] / DIGEST[2:]).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(StorageError, match="damaged"):
        blobs.get(DIGEST)


@pytest.mark.parametrize("place", ["ftp://host/x", "s3:///prefix", "s3://bucket/x?endpiont=http://127.0.0.1"])
def test_a_place_that_makes_no_sense_is_refused(place: str) -> None:
    with pytest.raises(BadInput):
        open_blobs(place)


def test_a_server_that_is_gone_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    blobs = open_blobs("s3://nothing/x?endpoint=ftp://127.0.0.1:9&region=us-east-1")
    with pytest.raises(StorageError):
        blobs.put(CONTENT)
