"""Rows of the protocol: each test of this folder is one, and ``docs/conformance.md`` is the table of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

Test = TypeVar("Test", bound=Callable[..., Any])

INTRODUCTION = """# Conformance

What this server answers to every client of the protocol, in every dialect. Each row is a test in `tests/conformance`,
and this page is written by them: `python -m tests.conformance`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is done, and what is to come of it."""

    section: str
    given: str
    expected: str


def row(section: str, given: str, expected: str) -> Callable[[Test], Test]:
    """Marks a test as the row of this name."""

    def mark(test: Test) -> Test:
        test.__dict__["row"] = Row(section, given, expected)
        return test

    return mark


@dataclass(frozen=True, slots=True)
class Call:
    """A REST call and its answer, as a row.

    Attributes:
        body: sent as JSON, or as it is where it is bytes; None sends none. ``{session}`` and ``{token}`` in strings are
            those of a session that lives; so in ``path`` and ``headers``.
        headers: sent beside a right ``x-api-key``; None as a value takes one away.
        code: of the refusal; empty for an answer that is none.
        says: what the message must hold.
    """

    section: str
    given: str
    method: str
    path: str
    status: int
    code: str = ""
    body: Any = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    says: str = ""

    @property
    def row(self) -> Row:
        says = f": “{self.says}”" if self.says else ""
        return Row(self.section, self.given, f"{self.status} `{self.code}`{says}" if self.code else str(self.status))


def rows_of(modules: list[ModuleType]) -> list[Row]:
    found: list[Row] = []
    for module in modules:
        found += [call.row for call in getattr(module, "CALLS", ())]
        found += [test.row for test in vars(module).values() if isinstance(getattr(test, "row", None), Row)]
    return found


def page(rows: list[Row]) -> str:
    sections: dict[str, list[Row]] = {}
    for one in rows:
        sections.setdefault(one.section, []).append(one)
    text = INTRODUCTION
    for section, members in sections.items():
        text += f"\n## {section}\n| given | then |\n|---|---|\n"
        text += "".join(f"| {one.given} | {one.expected} |\n" for one in members)
    return text
