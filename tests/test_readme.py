"""README says what the program does."""

from __future__ import annotations

from pathlib import Path

from server.settings import markdown

README = Path(__file__).resolve().parents[1] / "README.md"


def test_readme_lists_every_setting_as_it_is() -> None:
    text = README.read_text(encoding="utf-8")
    listed = text.split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0]
    assert listed == markdown(), "python -m tests.test_readme writes the table anew"


def write() -> None:
    before, rest = README.read_text(encoding="utf-8").split("<!-- settings -->\n")
    after = rest.split("<!-- /settings -->")[1]
    README.write_text(f"{before}<!-- settings -->\n{markdown()}<!-- /settings -->{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
