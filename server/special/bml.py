"""Gesture XML: a subset of the Behavior Markup Language 1.0, and a shorthand without ``<bml>``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NoReturn, TypeVar

from avatar.bundle import STATES
from avatar.cues import SPEECH, Action, Behaviour, Block, Composition, Enter, Pause, Perform
from server.special.errors import NotUnderstood
from server.special.markup import Element, elements
from server.special.moments import LATEST_S, Unusable, moment, number, whole

MOST_WARNINGS = 16
"""In answer to one message."""

MOST_REPETITIONS = 20

NAMES = 64
"""Characters in a name or id."""

COMPOSITIONS: Mapping[str, Composition] = {"MERGE": "MERGE", "APPEND": "APPEND", "REPLACE": "REPLACE"}

ALLOWED: Mapping[str, Sequence[str]] = {
    "bml": ("id", "composition", "characterid"),
    "gesture": ("id", "lexeme", "name", "start", "end", "repetition"),
    "head": ("id", "lexeme", "name", "start", "end", "repetition"),
    "facelexeme": ("id", "lexeme", "name", "start", "end", "repetition"),
    "wait": ("id", "duration", "start"),
    "state": ("id", "value", "start"),
}
"""Attributes of each element, in lower case: neither elements nor attributes mind their case."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that was left out or ignored; ``code`` is the warning event's."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message asks for."""

    blocks: tuple[Block, ...]
    warnings: tuple[Warned, ...] = ()


def read_markup(content: str, event_id: str = "") -> Reading:
    """The blocks in gesture XML: every ``<bml>`` is one, and so are neighbours that stand outside of any.

    Raises:
        NotUnderstood: this is no XML, or there is no element in it.
    """
    root = elements(content)
    if not root.children:
        raise NotUnderstood("there is no element in it")
    reader = _Reader(event_id)
    blocks = list(reader.blocks(root))
    return Reading(tuple(block for block in blocks if block.behaviours), reader.told())


class _LeftOut(Exception):
    """The element that is being read cannot be used; it was said why."""


@dataclass(slots=True)
class _Reader:
    event_id: str
    warnings: list[Warned] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def blocks(self, root: Element) -> Iterator[Block]:
        self._no_text(root)
        for in_bml, group in groupby(root.children, lambda element: element.name.lower() == "bml"):
            if in_bml:
                for element in group:
                    self._no_text(element)
                    attributes = self._attributes(element)
                    composition = self._composition(element, attributes.get("composition", "MERGE"))
                    yield Block(self._behaviours(element.children), composition, self.event_id)
            else:
                yield Block(self._behaviours(list(group)), "MERGE", self.event_id)

    def told(self) -> tuple[Warned, ...]:
        if len(self.warnings) <= MOST_WARNINGS:
            return tuple(self.warnings)
        n = len(self.warnings) - MOST_WARNINGS + 1
        return (*self.warnings[: MOST_WARNINGS - 1], Warned("MORE_WARNINGS", f"{n} more warnings are not listed"))

    def _behaviours(self, found: Sequence[Element]) -> tuple[Behaviour, ...]:
        behaviours = []
        for element in found:
            try:
                behaviours.append(self._behaviour(element))
            except _LeftOut:
                continue
        return tuple(behaviours)

    def _behaviour(self, element: Element) -> Behaviour:
        name = element.name.lower()
        if name not in ALLOWED or name == "bml":
            known = "gesture, head, faceLexeme, wait, state"
            self._warn("UNKNOWN_ELEMENT", f"<{element.name[:NAMES]}> is ignored; known are {known}")
            raise _LeftOut
        self._no_text(element)
        for child in element.children:
            self._warn("UNKNOWN_ELEMENT", f"<{child.name[:NAMES]}> inside of <{element.name}> is ignored")
        attributes = self._attributes(element)
        action = self._action(element, name, attributes)
        start, end = (self._optional(element, attributes, edge, moment) for edge in ("start", "end"))
        repetition = self._optional(element, attributes, "repetition", lambda text: whole(text, 1, MOST_REPETITIONS))
        if start and end and start.of == end.of and start.edge == end.edge and end.offset_s <= start.offset_s:
            self._wrong(element, "end", attributes["end"], f"it has to come after start, {attributes['start']}")
        return Behaviour(action, self._id(element, attributes), start, end, repetition)

    def _action(self, element: Element, name: str, attributes: Mapping[str, str]) -> Action:
        if name == "wait":
            return Pause(self._needed(element, attributes, "duration", lambda text: number(text, 0, LATEST_S)))
        if name == "state":
            return Enter(self._needed(element, attributes, "value", _state))
        attribute = "lexeme" if "lexeme" in attributes else "name"
        if attribute not in attributes:
            self._warn("ATTRIBUTE_MISSING", f"<{element.name}> is left out, it needs a lexeme or a name")
            raise _LeftOut
        return Perform(self._needed(element, attributes, attribute, _name))

    def _attributes(self, element: Element) -> dict[str, str]:
        """By name in lower case, without those that nobody follows."""
        allowed = ALLOWED[element.name.lower()]
        kept = {}
        for name, value in element.attributes.items():
            if name.lower() in allowed:
                kept[name.lower()] = value
            else:
                why = "footage is played as it is" if name.lower() == "amount" else f"known are {', '.join(allowed)}"
                self._warn("ATTRIBUTE_IGNORED", f"{name[:NAMES]} of <{element.name}> is ignored; {why}")
        return kept

    def _needed(self, element: Element, attributes: Mapping[str, str], attribute: str, read: Callable[[str], T]) -> T:
        if attribute not in attributes:
            self._warn("ATTRIBUTE_MISSING", f"<{element.name}> is left out, it needs a {attribute}")
            raise _LeftOut
        try:
            return read(attributes[attribute])
        except Unusable as error:
            self._wrong(element, attribute, attributes[attribute], str(error))

    def _optional(
        self, element: Element, attributes: Mapping[str, str], attribute: str, read: Callable[[str], T]
    ) -> T | None:
        return self._needed(element, attributes, attribute, read) if attribute in attributes else None

    def _id(self, element: Element, attributes: Mapping[str, str]) -> str:
        """Its id, where nothing else has it."""
        id = attributes.get("id", "").strip()
        if not id:
            return ""
        if id == SPEECH or id in self.ids or len(id) > NAMES or any(sign in id for sign in ": +"):
            self._warn("ID_IGNORED", f"id '{id[:NAMES]}' of <{element.name}> is ignored: it is taken, or no id")
            return ""
        self.ids.add(id)
        return id

    def _composition(self, element: Element, text: str) -> Composition:
        composition = COMPOSITIONS.get(text.strip().upper())
        if composition is None:
            known = ", ".join(COMPOSITIONS)
            self._warn(
                "ATTRIBUTE_WRONG", f"composition of <bml> is '{text[:NAMES]}', allowed are {known}; MERGE is taken"
            )
        return composition or "MERGE"

    def _no_text(self, element: Element) -> None:
        if element.text:
            where = f"in <{element.name}>" if element.name != "special" else "between the elements"
            self._warn("TEXT_IGNORED", f"text {where} is ignored")

    def _wrong(self, element: Element, attribute: str, value: str, why: str) -> NoReturn:
        message = f"<{element.name}> is left out, its {attribute} is '{value[:NAMES]}': {why}"
        self._warn("ATTRIBUTE_WRONG", message)
        raise _LeftOut

    def _warn(self, code: str, message: str) -> None:
        self.warnings.append(Warned(code, message))


def _state(text: str) -> str:
    if (state := text.strip().lower()) not in STATES:
        raise Unusable(f"allowed are {', '.join(STATES)}")
    return state


def _name(text: str) -> str:
    if not 0 < len(name := text.strip()) <= NAMES:
        raise Unusable(f"allowed are 1 to {NAMES} characters")
    return name
