"""XML from strangers, made into elements: no document types, no entities, and not much of anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from server.special.errors import NotUnderstood

LONGEST = 16_384
"""Characters in one message."""

MOST_ELEMENTS = 64
"""Elements in one message."""

DEEPEST = 4
"""Levels of elements; behaviours of a block are on the second."""

DECLARATION = re.compile(r"<\?xml\s[^<>]{0,200}\?>")
"""The message is a string, whatever encoding its declaration names; and each of several roots may bring one."""


@dataclass(slots=True)
class Element:
    """An element by its plain name, without its namespace; text is not kept."""

    name: str
    attributes: Mapping[str, str]
    children: list[Element] = field(default_factory=list)
    text: bool = False
    """Whether there was text in it."""


def elements(content: str) -> Element:
    """An element without a name around the roots of ``content``: there may be several.

    Raises:
        NotUnderstood: this is no XML, or too much of it.
    """
    if len(content) > LONGEST:
        raise NotUnderstood(f"it has {len(content)} characters, allowed are {LONGEST}")
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, encoding="utf-8", forbid_dtd=True)
    plain = DECLARATION.sub("", content.lstrip("\ufeff"))
    try:
        # A document type cannot come after the first element: what is left for expat to refuse is refused there.
        parser.feed(f"<special>{plain}</special>".encode())
        parser.close()
    except UnicodeEncodeError as error:
        raise NotUnderstood(f"character {error.start} is half of a surrogate pair") from None
    except DefusedXmlException:
        raise NotUnderstood("document types and entities are not allowed") from None
    except ParseError as error:
        if "<!DOCTYPE" in content.upper():
            raise NotUnderstood("document types and entities are not allowed") from None
        line, column = error.position
        what = str(error).partition(":")[0]
        raise NotUnderstood(f"it is not well-formed XML: {what} in line {line}, column {column}") from None
    return builder.root


class _Builder:
    """Builds the elements while they are read, so that reading stops where it gets too much."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._n = -1
        self.root = Element("", {})

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._n += 1
        if self._n > MOST_ELEMENTS:
            raise NotUnderstood(f"it has more than {MOST_ELEMENTS} elements")
        if len(self._open) > DEEPEST:
            raise NotUnderstood(f"its elements are more than {DEEPEST} levels deep")
        element = Element(_plain(tag), {_plain(name): value for name, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, tag: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        if text.strip():
            self._open[-1].text = True

    def close(self) -> None:
        pass


def _plain(name: str) -> str:
    return name.rpartition("}")[2]
