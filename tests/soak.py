"""How much the tests marked ``soak`` do: everything with ``make soak``, a tenth with ``make test``."""

from __future__ import annotations

import os


def many(n: int) -> int:
    """``n`` in a soak, a tenth of it otherwise."""
    return n if os.environ.get("AVATAR_SOAK") else n // 10
