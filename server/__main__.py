"""``python -m server``: the same as the command ``avatar``."""

from __future__ import annotations


def main() -> None:
    from server.cli import run

    run()


if __name__ == "__main__":
    main()
