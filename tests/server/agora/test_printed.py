"""What a foreign library prints, in our log."""

from __future__ import annotations

from server.publishers.agora.printed import HELD, LONGEST, MOST_PER_S, PrintedLines


class Log:
    def __init__(self, secrets: set[str] | None = None) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.printed = PrintedLines(self.lines.append, secrets if secrets is not None else set(), lambda: self.now)


def test_lines_are_the_same_however_they_come() -> None:
    data = "one\ntwo è\r\n\n  three\nfour".encode()
    for n in (1, 2, 3, 7, 100):
        log = Log()
        for at in range(0, len(data), n):
            log.printed.add(data[at : at + n])
        log.printed.end()
        assert log.lines == ["one", "two è", "three", "four"]


def test_secrets_are_never_written_though_they_come_in_pieces() -> None:
    secrets = {"the-token", "the-token-and-more", "app"}
    log = Log(secrets)
    for part in (b"joined with the-tok", b"en-and-more\n", b"the-token in app\n"):
        log.printed.add(part)
    secrets.add("a-later-one")
    log.printed.add(b"x" * (LONGEST - 3) + b"a-later-one\n")
    assert log.lines[:2] == ["joined with [secret]", "[secret] in app"]
    assert "a-l" not in log.lines[2]


def test_lines_and_their_number_are_bounded() -> None:
    log = Log()
    log.printed.add(b"y" * 3 * HELD)
    log.printed.end()
    assert log.lines == ["y" * LONGEST + "…"]
    log.lines.clear()
    log.now = 1
    log.printed.add(b"again\n" * 1000)
    log.now = 2
    log.printed.add(b"later\n")
    assert log.lines == ["again"] * MOST_PER_S + [f"… and {1000 - MOST_PER_S} lines more", "later"]


def test_what_is_no_text_becomes_text_of_one_line() -> None:
    log = Log()
    log.printed.add(bytes(range(256)) + b"\n")
    log.printed.end()
    assert log.lines
    assert all(line.isprintable() for line in log.lines)
