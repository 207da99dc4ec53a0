"""What the content of ``special`` means."""

from __future__ import annotations

import pytest

from avatar.cues import Behaviour, Block, Enter, Moment, Pause, Perform
from server.special.bml import MOST_WARNINGS
from server.special.content import read_special
from server.special.errors import NotUnderstood
from server.special.markup import LONGEST, MOST_ELEMENTS


def blocks(content: str) -> tuple[Block, ...]:
    """Of content that nothing is wrong with."""
    reading = read_special(content)
    assert reading.warnings == ()
    return reading.blocks


def behaviours(content: str) -> tuple[Behaviour, ...]:
    (block,) = blocks(content)
    return block.behaviours


def gesture(name: str) -> Behaviour:
    return Behaviour(Perform(name))


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        ('{"type": "action", "action": "wave"}', [gesture("wave")]),
        (' {"action": " wave ", "type": "action", "why": 1} ', [gesture("wave")]),
        ('<gesture name="wave"/>', [gesture("wave")]),
        ("<gesture name='wave' />", [gesture("wave")]),
        ('<gesture lexeme="WAVE"/>\n<gesture name="nod"/>', [gesture("WAVE"), gesture("nod")]),
        ('<state value="LISTEN"/>', [Behaviour(Enter("listen"))]),
        ('<Head Lexeme="nod"/><FACELEXEME lexeme="smile"/>', [gesture("nod"), gesture("smile")]),
        ('<gesture lexeme="nod"></gesture>', [gesture("nod")]),
        ('<gesture lexeme="n&#111;d &amp; wave"/><!-- and --><?go on?>', [gesture("nod & wave")]),
        ('\ufeff<gesture name="wave"/>', [gesture("wave")]),
    ],
)
def test_actions_and_the_shorthand_are_understood(content: str, meant: list[Behaviour]) -> None:
    assert list(behaviours(content)) == meant


def test_a_block_of_bml_is_understood() -> None:
    (block,) = blocks(
        """<?xml version="1.0" encoding="UTF-16"?>
        <bml xmlns="http://www.bml-initiative.org/bml/bml-1.0" id="b1" characterId="ava" composition="replace">
          <gesture id="g1" lexeme="WAVE" start="0.4"/>
          <head id="h1" lexeme="NOD" repetition="2" start="g1:end"/>
          <faceLexeme id="f1" lexeme="SMILE" start="speech:start" end="speech:end - .5"/>
          <wait duration="0.5" start="h1:start+1"/>
          <state value="listen"/>
        </bml>"""
    )
    assert block.composition == "REPLACE"
    assert block.behaviours == (
        Behaviour(Perform("WAVE"), "g1", Moment(0.4)),
        Behaviour(Perform("NOD"), "h1", Moment(0, "g1", "end"), repetition=2),
        Behaviour(Perform("SMILE"), "f1", Moment(0, "speech", "start"), Moment(-0.5, "speech", "end")),
        Behaviour(Pause(0.5), start=Moment(1, "h1", "start")),
        Behaviour(Enter("listen")),
    )


def test_several_roots_are_several_blocks_and_neighbours_outside_of_any_are_one() -> None:
    content = (
        '<gesture name="a"/><wait duration="1"/><bml composition="APPEND"><head lexeme="b"/></bml><head name="c"/>'
    )
    found = [(block.composition, len(block.behaviours)) for block in blocks(content)]
    assert found == [("MERGE", 2), ("APPEND", 1), ("MERGE", 1)]


def test_several_documents_in_one_message_are_understood() -> None:
    one = '<?xml version="1.0" encoding="ebcdic-cp-us" standalone="yes"?><gesture name="a"/>'
    assert len(behaviours(one * 3)) == 3


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "UTF-7", "latin-1", "ebcdic-cp-us", "no-such-thing", "utf-32"])
def test_whatever_encoding_is_declared_a_string_is_a_string(encoding: str) -> None:
    content = f"<?xml version='1.0' encoding='{encoding}'?><gesture name='grüße'/>"
    assert behaviours(content) == (gesture("grüße"),)


def test_the_message_goes_with_its_blocks() -> None:
    for content in ('{"type": "action", "action": "a"}', "<gesture name='a'/>"):
        assert read_special(content, "e7").blocks[0].event_id == "e7"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("<gesture/>", "ATTRIBUTE_MISSING", "<gesture> is left out, it needs a lexeme or a name"),
        ("<wait/>", "ATTRIBUTE_MISSING", "<wait> is left out, it needs a duration"),
        ("<state/>", "ATTRIBUTE_MISSING", "<state> is left out, it needs a value"),
        ("<state value='asleep'/>", "ATTRIBUTE_WRONG", "its value is 'asleep': allowed are idle, listen, talk"),
        ("<wait duration='long'/>", "ATTRIBUTE_WRONG", "its duration is 'long': allowed are numbers from 0 to 3600"),
        ("<wait duration='1e3'/>", "ATTRIBUTE_WRONG", "'1e3'"),
        ("<head lexeme=''/>", "ATTRIBUTE_WRONG", "its lexeme is ''"),
        ("<head lexeme='a' start='NaN'/>", "ATTRIBUTE_WRONG", "its start is 'NaN': allowed are seconds from 0 to 3600"),
        ("<head lexeme='a' start='-1'/>", "ATTRIBUTE_WRONG", "its start is '-1'"),
        ("<head lexeme='a' start='inf'/>", "ATTRIBUTE_WRONG", "its start is 'inf'"),
        (f"<head lexeme='a' start='{'9' * 500}'/>", "ATTRIBUTE_WRONG", "its start is '999"),
        ("<head lexeme='a' start='١'/>", "ATTRIBUTE_WRONG", "its start is '١'"),
        ("<head lexeme='a' start='g:stroke'/>", "ATTRIBUTE_WRONG", "after the colon comes start or end"),
        ("<head lexeme='a' start='g:end+x'/>", "ATTRIBUTE_WRONG", "numbers from 0 to 3600"),
        ("<head lexeme='a' start='g'/>", "ATTRIBUTE_WRONG", "id:start, id:end, speech:start, speech:end"),
        ("<head lexeme='a' repetition='0'/>", "ATTRIBUTE_WRONG", "whole numbers from 1 to 20"),
        ("<head lexeme='a' repetition='2.5'/>", "ATTRIBUTE_WRONG", "whole numbers from 1 to 20"),
        ("<head lexeme='a' start='2' end='1'/>", "ATTRIBUTE_WRONG", "its end is '1': it has to come after start, 2"),
        ("<speech>hello</speech>", "UNKNOWN_ELEMENT", "<speech> is ignored; known are gesture, head"),
        ("<bml><bml/></bml>", "UNKNOWN_ELEMENT", "<bml> is ignored"),
        ("<state value='idle'><head lexeme='a'/></state>", "UNKNOWN_ELEMENT", "<head> inside of <state> is ignored"),
        ("<head lexeme='a' amount='0.8'/>", "ATTRIBUTE_IGNORED", "amount of <head> is ignored; footage"),
        ("<head lexeme='a' stroke='1'/>", "ATTRIBUTE_IGNORED", "stroke of <head> is ignored; known are id, lexeme"),
        ("<bml composition='mix'/>", "ATTRIBUTE_WRONG", "composition of <bml> is 'mix', allowed are MERGE, APPEND"),
        ("<state value='idle' id='speech'/>", "ID_IGNORED", "id 'speech' of <state> is ignored"),
        ("<state value='idle' id='a'/><wait duration='1' id='a'/>", "ID_IGNORED", "id 'a' of <wait> is ignored"),
        ("<state value='idle'/> and smile", "TEXT_IGNORED", "text between the elements is ignored"),
        ("<bml>smile</bml>", "TEXT_IGNORED", "text in <bml> is ignored"),
    ],
)
def test_what_is_wrong_with_an_element_is_said(content: str, code: str, words: str) -> None:
    (warned,) = read_special(content).warnings
    assert warned.code == code
    assert words in warned.message


def test_what_is_wrong_with_one_does_not_touch_the_others() -> None:
    reading = read_special("<gesture/><gesture name='a' amount='1'/><wave/><gesture name='b' start='never'/>hm")
    assert [block.behaviours for block in reading.blocks] == [(gesture("a"),)]
    assert len(reading.warnings) == 5


def test_warnings_are_not_without_end() -> None:
    warnings = read_special("<wave/>" * MOST_ELEMENTS).warnings
    assert len(warnings) == MOST_WARNINGS
    assert warnings[-1].message == f"{MOST_ELEMENTS - MOST_WARNINGS + 1} more warnings are not listed"


BOMB = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("wave", "neither a JSON action nor gesture XML"),
        ("{", "looks like JSON, but is not"),
        ('{"type": "action"}', "an action is"),
        ('{"type": "action", "action": 7}', "an action is"),
        ('{"type": "action", "action": ""}', "an action is"),
        (f'{{"type": "action", "action": "{"w" * 65}"}}', "at most 64 characters"),
        ('{"a":' * 3000, "looks like JSON, but is not"),
        ("{" + " " * LONGEST, f"allowed are {LONGEST}"),
        ("<!-- nothing -->", "no element"),
        ('<gesture name="wave">', "not well-formed XML: mismatched tag in line 1"),
        ("<gesture name=wave/>", "not well-formed XML"),
        ("</special><special>", "not well-formed XML"),
        ("</special><!-- --><special>", "not well-formed XML"),
        ("<a>" * 6 + "</a>" * 6, "more than 4 levels deep"),
        ("<a/>" * (MOST_ELEMENTS + 1), f"more than {MOST_ELEMENTS} elements"),
        ("<a b='" + "x" * LONGEST + "'/>", f"allowed are {LONGEST}"),
        ("<gesture name='\ud800'/>", "half of a surrogate pair"),
        ("<gesture name='a\0b'/>", "not well-formed XML"),
        ("<gesture name='&#0;'/>", "not well-formed XML"),
        ("<gesture name='&lol;'/>", "not well-formed XML: undefined entity"),
        ('<!DOCTYPE x [<!ENTITY l0 "lol">' + BOMB + "]><gesture name='&l9;'/>", "document types and entities"),
        ('<!doctype x SYSTEM "file:///etc/passwd"><x/>', "document types and entities"),
        ('<x/><!DOCTYPE x SYSTEM "http://localhost/"><x/>', "document types and entities"),
        ("<x><!ENTITY a 'b'></x>", "not well-formed XML"),
    ],
)
def test_what_is_not_understood_says_why(content: str, words: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_special(content)
    assert words in str(refused.value)
