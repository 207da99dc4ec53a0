"""Messages as a broken or hostile client may send them: good ones, nearly good ones, and anything else."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from hypothesis import strategies as st

Message = str | bytes

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 8_000, 24_000, 44_100, 48_000, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308, -0.0, 0.5]),
    st.integers(),
    st.floats(),
)

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates, controls and what is not a character among it."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def wave_files(draw: st.DrawFn) -> bytes:
    """RIFF whose header says what it likes of itself."""
    data = draw(st.binary(max_size=64))
    tag, n_channels = draw(st.sampled_from([1, 3, 0xFFFE, 6, 0])), draw(st.sampled_from([1, 2, 8, 0, 9, 65_535]))
    rate = draw(st.sampled_from([8_000, 24_000, 48_000, 44_100, 11_025, 0, 7_999, 96_000, 2**32 - 1]))
    bits = draw(st.sampled_from([8, 16, 24, 32, 0, 1, 65_535]))
    layout = struct.pack("<HHIIHH", tag, n_channels, rate, 0, 0, bits) + draw(st.binary(max_size=24))
    lie = st.sampled_from([0, 1, len(data), 0x7FFF_0000, 2**32 - 1]) | st.integers(0, 2**32 - 1)
    layout_size = draw(st.just(len(layout)) | lie)
    whole = b"RIFF" + struct.pack("<I", draw(lie)) + b"WAVE"
    if draw(st.booleans()):
        whole += b"LIST" + struct.pack("<I", draw(lie)) + draw(st.binary(max_size=8))
    if draw(st.integers(0, 9)):
        whole += b"fmt " + struct.pack("<I", layout_size) + layout
    whole += b"data" + struct.pack("<I", draw(lie)) + data
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


@st.composite
def ogg_pages(draw: st.DrawFn) -> bytes:
    """Ogg pages whose tables, and Opus packets whose heads, say what they like."""
    pages = b""
    for number in range(draw(st.integers(1, 3))):
        head = b"OpusHead" + draw(st.binary(max_size=14))
        content = draw(st.sampled_from([head, b"OpusTags", b""])) + draw(st.binary(max_size=48))
        table = draw(st.just(bytes([len(content)])) | st.binary(max_size=8))
        page = struct.pack("<4sBBQIIIB", b"OggS", 0, 2 * (number == 0), 0, 1, number, 0, len(table)) + table + content
        pages += page
    return pages[: draw(st.integers(0, len(pages)))] if draw(st.booleans()) else pages


SOUND = st.one_of(
    st.binary(max_size=400),
    st.integers(0, 4_000).map(bytes),
    wave_files(),
    ogg_pages(),
    st.binary(max_size=3).map(lambda tail: b"RIFF"[: len(tail)] + tail),
)

BASE64 = st.one_of(
    SOUND.map(lambda sound: base64.b64encode(sound).decode()),
    SOUND.map(lambda sound: base64.b64encode(sound).decode() + "="),
    SOUND.map(lambda sound: "\n".join(base64.b64encode(sound).decode())),
    TEXT,
)

XML = st.one_of(
    st.sampled_from(
        [
            '<gesture name="nod"/>',
            '<state value="listen"/>',
            '<bml><gesture id="a" lexeme="NOD" start="0.1"/><head id="b" lexeme="NOD" start="a:end"/></bml>',
            '<bml composition="REPLACE"><wait duration="1e400"/></bml>',
            '<bml><head id="a" start="b:end"/><head id="b" start="a:end"/></bml>',
            '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><bml>&c;</bml>',
            '{"type": "action", "action": "nod"}',
            '{"type": "action", "action": ["nod"]}',
        ]
    ),
    st.integers(1, 500).map(lambda depth: "<bml>" * depth),
    TEXT,
    st.tuples(TEXT, TEXT).map(lambda pair: f'<gesture name="{pair[0]}" start="{pair[1]}"/>'),
)

EVENT_ID = st.text(max_size=8)

GOOD: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "init": {"avatar_id": st.just("tiny"), "quality": st.just("high")},
    "voice": {
        "audio": BASE64,
        "sampleRate": st.sampled_from([8_000, 16_000, 24_000, 44_100, 48_000, 11_025, 12_345]),
        "encoding": st.sampled_from(["PCM16", "PCM8", "OPUS", "pcm16"]),
    },
    "voice_end": {},
    "voice_interrupt": {},
    "heartbeat": {"timestamp": st.integers(0, 2**53)},
    "state": {"value": st.sampled_from(["idle", "listen", "talk"])},
    "special": {"content": XML},
}
"""The fields of each command, as they may be."""


@st.composite
def commands(draw: st.DrawFn) -> dict[str, Any]:
    """A command as it should be."""
    name = draw(st.sampled_from(sorted(GOOD)))
    fields = {field: draw(values) for field, values in GOOD[name].items()}
    return {"command": name, "event_id": draw(EVENT_ID), **fields}


@st.composite
def spoilt_commands(draw: st.DrawFn) -> dict[str, Any]:
    """A command with a field that is missing, is of another kind, or does not belong there."""
    message = draw(commands())
    name = draw(st.sampled_from([*message, "sample_rate", "session_id", "session_token", "agora_settings"]))
    if draw(st.booleans()):
        message.pop(name, None)
    else:
        message[name] = draw(ANYTHING)
    return message


def as_json(value: object) -> str:
    """As some client might write it: NaN and Infinity, which are no JSON, among it; lone surrogates as escapes."""
    return json.dumps(value)


@st.composite
def mutilated(draw: st.DrawFn) -> str:
    """A command's text of which some is gone, doubled, or replaced."""
    text = as_json(draw(commands()))
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, min(len(text), begin + 20)))
    return (
        text[:begin] + draw(st.sampled_from(["", text[begin:end] * 2, '"', "\\", "{", "\x00", "\ufeff"])) + text[end:]
    )


DEEP = st.tuples(
    st.sampled_from([("[", "]"), ('{"a":', "}"), ('{"command":', "}")]), st.integers(1, 3_000), st.booleans()
).map(lambda deep: deep[0][0] * deep[1] + ("1" + deep[0][1] * deep[1] if deep[2] else ""))

MESSAGES: st.SearchStrategy[Message] = st.one_of(
    commands().map(as_json),
    commands().map(as_json),
    spoilt_commands().map(as_json),
    spoilt_commands().map(as_json),
    mutilated(),
    ANYTHING.map(as_json),
    st.text(max_size=60),
    st.binary(max_size=60),
    DEEP,
)
"""What one client may send."""
