"""XML is read safely: no document types, no entities; what is none is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from anymask.data.formats.xml_files import read_xml, text_at
from anymask.data.record import Blob
from anymask.errors import BadInput

LAUGHS = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>'
FILE = b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'


def blob_of(path: Path, content: bytes) -> Blob:
    path.write_bytes(content)
    return Blob(path)


def test_elements_attributes_and_text_are_read_in_any_encoding(tmp_path: Path) -> None:
    text = '<a b="1">\n <name> caf\xe9 &amp; <![CDATA[<b>]]></name></a>'
    for head, encoding in (
        ("", "utf-8"),
        ("\ufeff", "utf-8"),
        ('<?xml version="1.0" encoding="latin-1"?>', "latin-1"),
    ):
        root = read_xml(blob_of(tmp_path / "a.xml", (head + text).encode(encoding)), "a.xml")
        assert root.get("b") == "1" and text_at(root, "name") == "caf\xe9 & <b>"
        assert text_at(root, "no/where") == ""


@pytest.mark.parametrize("content", [LAUGHS, FILE])
def test_document_types_and_entities_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="without a document type"):
        read_xml(blob_of(tmp_path / "a.xml", content), "a.xml")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"<a>",
        b"<a></b>",
        b"<a>&x;</a>",
        b"\xff\xfe\x00",
        b"<?xml version='1.0' encoding='no-such'?><a/>",
    ],
)
def test_what_is_no_xml_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^a\.xml is damaged or no XML: .+$"):
        read_xml(blob_of(tmp_path / "a.xml", content), "a.xml")
