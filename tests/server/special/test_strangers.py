"""Whatever a stranger puts into ``special``: it is understood, or refused with the one error that says why."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatar.bundle import AvatarBundle
from avatar.schedule import MOST_WAITING, Schedule
from models.bundles import read_bundle
from server.special.bml import MOST_WARNINGS
from server.special.content import read_special
from server.special.errors import NotUnderstood
from server.special.events import action_event, printable, refused_event, warning
from tests.soak import many

pytestmark = pytest.mark.soak

unhurried = settings(
    deadline=10_000,  # milliseconds: what takes longer hangs
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

IDS = ["a", "b", "c", "speech", "g1", "", "x y", "a:b"]
NUMBERS = st.one_of(
    st.sampled_from(
        [
            "0",
            "0.4",
            "1",
            "3600",
            "-1",
            "NaN",
            "nan",
            "inf",
            "-Infinity",
            "1e999",
            "9" * 400,
            "0x10",
            "1_0",
            "",
            " 2 ",
            "٣",
        ]
    ),
    st.floats().map(str),
    st.integers().map(str),
)
REFERENCES = st.builds(
    "{}:{}{}{}".format,
    st.sampled_from(IDS),
    st.sampled_from(["start", "end", "stroke", "START", ""]),
    st.sampled_from(["", "+", "-", " + ", "++"]),
    st.one_of(st.just(""), NUMBERS),
)
WORDS = st.one_of(
    st.sampled_from(["NOD", "smile", "wave", "listen", "idle", "MERGE", "APPEND", "REPLACE", "&amp;", "&#x1F600;"]),
    st.text(max_size=8),
)
NAMES = [
    "id",
    "lexeme",
    "name",
    "start",
    "end",
    "repetition",
    "duration",
    "value",
    "amount",
    "composition",
    "xmlns",
    "x:y",
]
TAGS = ["gesture", "head", "faceLexeme", "wait", "state", "bml", "speech", "x", "GESTURE", "b:ml"]
ATTRIBUTES = st.dictionaries(
    st.sampled_from(NAMES), st.one_of(st.sampled_from(IDS), NUMBERS, REFERENCES, WORDS), max_size=5
)


def element(tag: str, attributes: dict[str, str], inside: list[str]) -> str:
    written = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(inside)}</{tag}>" if inside else f"<{tag}{written}/>"


ELEMENTS = st.recursive(
    st.builds(element, st.sampled_from(TAGS), ATTRIBUTES, st.just([])),
    lambda inner: st.builds(element, st.sampled_from(TAGS), ATTRIBUTES, st.lists(inner, max_size=4)),
    max_leaves=8,
)
MARKUP = st.lists(ELEMENTS, min_size=1, max_size=4).map("".join)

GOOD_IDS = st.sampled_from(["", "a", "b", "c", "d"])
GOOD_SECONDS = st.floats(0, 5).map(lambda value: f"{value:.2f}")
GOOD_MOMENTS = st.one_of(
    GOOD_SECONDS,
    st.builds("{}:{}".format, st.sampled_from(["a", "b", "c", "d", "speech"]), st.sampled_from(["start", "end"])),
    st.builds("{}:end{}{}".format, st.sampled_from(["a", "b", "speech"]), st.sampled_from("+-"), GOOD_SECONDS),
)
GOOD_GESTURES = st.builds(
    element,
    st.sampled_from(["gesture", "head", "faceLexeme"]),
    st.fixed_dictionaries(
        {"lexeme": st.sampled_from(["nod", "SMILE", "Head Nod", "wave"])},
        optional={"id": GOOD_IDS, "start": GOOD_MOMENTS, "end": GOOD_MOMENTS, "repetition": st.sampled_from("123")},
    ),
    st.just([]),
)
GOOD_OTHERS = st.one_of(
    st.builds("<wait duration='{}'/>".format, GOOD_SECONDS),
    st.builds("<state value='{}'/>".format, st.sampled_from(["idle", "listen", "talk"])),
)
GOOD = st.builds(
    "<bml composition='{}'>{}</bml>".format,
    st.sampled_from(["MERGE", "APPEND", "REPLACE"]),
    st.lists(st.one_of(GOOD_GESTURES, GOOD_OTHERS), max_size=6).map("".join),
)

NASTY = [
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>",
    "<!ENTITY % p SYSTEM 'http://localhost/'> %p;",
    "&b;&b;&b;",
    "&#0;",
    "&#xD800;",
    "&#x110000;",
    "\0",
    "\ud800",
    "\udfff",
    "\ufeff",
    "\uffff",
    "\u2028",
    "<a>" * 50,
    "</a>" * 50,
    "<a/>" * 100,
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version='1.0' encoding='UTF-16'?>",
    "<?xml version='1.0' encoding='cp037'?>",
    "<?xml " * 400,
    "<?",
    "</special>",
    "<special>",
    "<",
    ">",
    "'",
    '"',
    "&",
    "xmlns:x='y'",
    "x" * 20_000,
    " y='z'" * 2000,
    '{"type": "action"',
    "+" * 500,
    "9" * 5000,
]


ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-7", "latin-1", "cp037"]

SPOILT = 10
"""Ways in which each text that hypothesis finds is spoilt: drawing one costs a hundred times what reading it does."""


def spoilt(text: str, seed: int) -> Iterator[str]:
    """The text, after somebody wrote into it, in several ways."""
    chance = random.Random(seed)
    for _ in range(SPOILT):
        bad = text
        for _ in range(chance.randint(1, 4)):
            start = chance.randint(0, len(bad))
            stop = start + chance.randint(0, 12)
            written = chance.choice([*NASTY, chr(chance.randrange(0x110000)), ""])
            bad = bad[:start] + written + bad[stop:]
        yield bad


def encoded(text: str) -> Iterator[str]:
    """The text, after it went through the wrong encodings."""
    for there, back in product(ENCODINGS, ENCODINGS):
        for declared in ("", f"<?xml version='1.0' encoding='{there}'?>"):
            yield (declared + text).encode(there).decode(back, "replace")


@pytest.fixture(scope="module")
def avatar(tiny_body: Path) -> AvatarBundle:
    return read_bundle(tiny_body)


def follow(content: str, schedule: Schedule) -> bool:
    """Does everything that the server does with it; says whether it was understood."""
    try:
        reading = read_special(content, "e")
    except NotUnderstood as error:
        msgspec.json.encode({"name": printable(content), "reason": str(error)}).decode()
        return False
    assert len(reading.warnings) <= MOST_WARNINGS
    assert sum(len(block.behaviours) for block in reading.blocks) <= MOST_WAITING
    events = [warning(warned.code, warned.message) for warned in reading.warnings]
    for block in reading.blocks:
        reception = schedule.add(block, 0)
        events += [refused_event(refusal, "e") for refusal in reception.refused]
        events += [action_event(happening) for happening in reception.ignored]
    assert len(msgspec.json.encode(events).decode()) < 100_000
    return True


@settings(unhurried, max_examples=many(2_000))
@given(GOOD)
def test_good_markup_is_understood(avatar: AvatarBundle, content: str) -> None:
    wrong = {one.code for one in read_special(content).warnings} - {"ID_IGNORED", "ATTRIBUTE_WRONG"}
    assert not wrong, "an id that is taken, and an end before its start, are all that can be wrong with it"
    assert follow(content, Schedule(avatar))


@settings(unhurried, max_examples=many(3_000))
@given(MARKUP)
def test_markup_of_any_elements_is_understood_or_refused(avatar: AvatarBundle, content: str) -> None:
    follow(content, Schedule(avatar))


@settings(unhurried, max_examples=many(3_000))
@given(st.one_of(GOOD, MARKUP), st.integers(0, 2**32))
def test_spoilt_markup_is_understood_or_refused(avatar: AvatarBundle, content: str, seed: int) -> None:
    for bad in spoilt(content, seed):
        follow(bad, Schedule(avatar))


@settings(unhurried, max_examples=many(500))
@given(GOOD)
def test_markup_in_wrong_encodings_is_understood_or_refused(avatar: AvatarBundle, content: str) -> None:
    for bad in encoded(content):
        follow(bad, Schedule(avatar))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(["type", "action"]), st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=8,
)


@settings(unhurried, max_examples=many(1_000))
@given(st.one_of(JSON.map(json.dumps), st.text()), st.integers(0, 2**32))
def test_json_and_any_text_are_understood_or_refused(avatar: AvatarBundle, content: str, seed: int) -> None:
    follow(content, Schedule(avatar))
    for bad in spoilt(content, seed):
        follow(bad, Schedule(avatar))


def test_strangers_take_no_memory(avatar: AvatarBundle) -> None:
    whole = "<bml><gesture lexeme='nod' id='a' start='1'/><head lexeme='smile' start='a:end+1'/></bml>"
    contents = [whole[:15] + nasty + whole[15:] for nasty in NASTY] + [nasty + whole for nasty in NASTY] + [whole]
    process, sizes = psutil.Process(), []
    for round_ in range(many(400)):
        schedule = Schedule(avatar)
        understood = [follow(content, schedule) for content in contents]
        assert any(understood)
        assert not all(understood)
        if round_ % 4 == 3:
            gc.collect()
            sizes.append(process.memory_info().rss)
    assert sizes[-1] <= sizes[len(sizes) // 2] + 4 * 2**20
