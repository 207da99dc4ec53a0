"""The content of ``special``, whatever it is written in."""

from __future__ import annotations

import msgspec

from avatar.cues import Behaviour, Block, Perform
from server.special.bml import NAMES, Reading, read_markup
from server.special.errors import NotUnderstood
from server.special.markup import LONGEST


def read_special(content: str, event_id: str = "") -> Reading:
    """What the content of ``special`` asks for: a JSON action, or gesture XML.

    Raises:
        NotUnderstood: it is neither. Vendors send each other all sorts of things here, so this is no error of theirs.
    """
    start = content.lstrip("\ufeff \t\r\n")[:1]
    if start == "{":
        return Reading((action(content, event_id),))
    if start == "<":
        return read_markup(content, event_id)
    raise NotUnderstood("it is neither a JSON action nor gesture XML" if start else "it is empty")


def action(content: str, event_id: str = "") -> Block:
    """``{"type": "action", "action": "wave"}`` as a block of one gesture.

    Raises:
        NotUnderstood: it is something else.
    """
    if len(content) > LONGEST:
        raise NotUnderstood(f"it has {len(content)} characters, allowed are {LONGEST}")
    try:
        value = msgspec.json.decode(content.strip("\ufeff \t\r\n"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise NotUnderstood("it looks like JSON, but is not") from None
    name = value.get("action")
    if value.get("type") != "action" or not isinstance(name, str) or not 0 < len(name.strip()) <= NAMES:
        raise NotUnderstood(f'an action is {{"type": "action", "action": "wave"}}, its name at most {NAMES} characters')
    return Block((Behaviour(Perform(name.strip())),), "MERGE", event_id)
