"""docs/gestures.md says what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from avatar.lexemes import LEXEMES
from models.loading import EMBEDDED
from models.manifest import read_manifest
from server.special.content import read_special
from server.wire import Special, command

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gestures.md"
START, STOP = "<!-- lexemes -->\n", "<!-- /lexemes -->"


def lexemes() -> str:
    """The table of other names."""
    rows = ["| gesture | is also meant by |", "|---|---|"]
    for gesture in dict.fromkeys(LEXEMES.values()):
        names = ", ".join(f"`{name}`" for name, meant in LEXEMES.items() if meant == gesture)
        rows.append(f"| `{gesture}` | {names} |")
    return "\n".join(rows) + "\n"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_lists_every_other_name_of_a_gesture_as_it_is() -> None:
    listed = PAGE.read_text(encoding="utf-8").split(START)[1].split(STOP)[0]
    assert listed == lexemes(), "python -m tests.test_gestures_page writes the table anew"


def test_the_page_lists_every_gesture_of_the_embedded_avatar() -> None:
    described = set(
        re.findall(r"^\| `([A-Z]+)` \| .* \| [0-9.]+ s \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(read_manifest(EMBEDDED / "ava").gestures) <= described
    assert set(LEXEMES.values()) <= described


def test_every_xml_example_is_understood_without_a_warning() -> None:
    found = examples("xml")
    assert len(found) == 4
    for example in found:
        reading = read_special(example)
        assert reading.warnings == ()
        assert reading.blocks


def test_every_json_example_is_what_the_server_takes() -> None:
    actions, special = (json.loads(example) for example in examples("json"))
    message = command(json.dumps(special))
    assert isinstance(message, Special)
    assert read_special(message.content).blocks
    described = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name.upper()}` |" in described for name in actions["avatar"]["actions"])


def write() -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(f"{before}{START}{lexemes()}{STOP}{rest.split(STOP)[1]}", encoding="utf-8")


if __name__ == "__main__":
    write()
