"""What a client is told of the behaviours that it asked for."""

from __future__ import annotations

from avatar.cues import Enter, Happening, Pause
from avatar.references import Refusal

Event = dict[str, object]


def action_event(happening: Happening) -> Event:
    """``action_started``, ``action_ended`` or ``action_ignored``, with the ids that the sender gave."""
    event: Event = {"event": f"action_{happening.what}", "name": happening.name}
    if happening.id:
        event["id"] = happening.id
    if happening.reason:
        event["reason"] = happening.reason
    if happening.event_id:
        event["event_id"] = happening.event_id
    return event


def refused_event(refusal: Refusal, event_id: str) -> Event:
    """The warning for a behaviour that can never come."""
    behaviour = refusal.behaviour
    kind = {Enter: "state", Pause: "wait"}.get(type(behaviour.action), "gesture")
    named = f'<{kind} id="{behaviour.id}">' if behaviour.id else f"<{kind}>"
    message = f"{named} is left out because of its {refusal.attribute}: {refusal.reason}"
    return warning("REFERENCE_REFUSED", message, event_id)


def printable(text: str, most: int = 64) -> str:
    """The beginning of a stranger's text, fit for JSON."""
    return text[:most].encode("utf-8", "replace").decode()


def warning(code: str, message: str, event_id: str = "") -> Event:
    event: Event = {"event": "warning", "code": code, "message": message}
    if event_id:
        event["event_id"] = event_id
    return event
