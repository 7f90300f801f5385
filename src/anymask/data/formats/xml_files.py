"""XML files of annotations, without document types and entities: a file cannot grow or name other files."""

from __future__ import annotations

from typing import Any, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from anymask.data.record import Blob
from anymask.errors import BadInput, mapped


def read_xml(blob: Blob, where: str) -> Element:
    """The root. Raises BadInput for what is no XML, or has a document type (where entities are declared)."""
    builder = TreeBuilder()
    with mapped((expat.ExpatError, LookupError, ValueError), BadInput, f"{where} is damaged or no XML"):
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = builder.start
        parser.EndElementHandler = builder.end
        parser.CharacterDataHandler = builder.data
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
        parser.Parse(blob.read(), True)
        return builder.close()


def text_at(element: Element, path: str) -> str:
    """What stands in the first element of a path, without spaces around it; nothing where there is none."""
    return (element.findtext(path) or "").strip()


def _refuse(*_: Any) -> NoReturn:
    raise BadInput("expected XML without a document type (<!DOCTYPE>) and entities")
