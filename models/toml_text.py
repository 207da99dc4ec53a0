"""TOML as text, for what the standard library only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


def to_toml(document: Mapping[str, object]) -> str:
    """TOML of what ``msgspec.to_builtins`` makes: nested tables of text, whole numbers, decimals, truths and lists."""
    lines: list[str] = []
    add_table(lines, [], document)
    return "\n".join(lines).lstrip() + "\n"


def with_table(text: str, name: str, values: Mapping[str, object]) -> str:
    """A document's text with these values in its table ``[name]``; all else, comments too, stays where it is."""
    lines = text.splitlines()
    header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]\s*(#.*)?")
    start = next((index + 1 for index, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        lines += ["", f"[{name}]"]
        start = len(lines)
    end = next((index for index in range(start, len(lines)) if lines[index].lstrip().startswith("[")), len(lines))
    table = lines[start:end]
    for key, value in values.items():
        entry = re.compile(rf"\s*{re.escape(toml_key(key))}\s*=[^#]*(?P<comment>#.*)?")
        place = next((index for index, line in enumerate(table) if entry.fullmatch(line)), None)
        if place is not None and (match := entry.fullmatch(table[place])):
            comment = f"  {match['comment']}" if match["comment"] else ""
            table[place] = f"{toml_key(key)} = {toml_value(value)}{comment}"
        else:
            after = next((index for index in range(len(table), 0, -1) if table[index - 1].strip()), 0)
            table.insert(after, f"{toml_key(key)} = {toml_value(value)}")
    return "\n".join([*lines[:start], *table, *lines[end:]]) + "\n"


def add_table(lines: list[str], path: list[str], table: Mapping[str, object]) -> None:
    for key, value in table.items():
        if value is not None and not is_table(value) and not is_tables(value):
            lines.append(f"{toml_key(key)} = {toml_value(value)}")
    for key, value in table.items():
        inner = [*path, toml_key(key)]
        if isinstance(value, Mapping) and value:
            if any(not is_table(item) for item in value.values()):
                lines.append(f"\n[{'.'.join(inner)}]")
            add_table(lines, inner, value)
        elif isinstance(value, list) and is_tables(value):
            for item in value:
                lines.append(f"\n[[{'.'.join(inner)}]]")
                add_table(lines, inner, item)


def is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def is_tables(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: object) -> str:
    """JSON's text, lists, truths and numbers are TOML's too, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
