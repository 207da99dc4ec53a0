"""Long runs: clients that lose their server, generated input, thousands of sessions.

``make soak`` does all of it (``python -m tests.soak``), the tests in this folder, and others marked ``soak``, a tenth.
"""

from __future__ import annotations

import os


def many(n: int) -> int:
    """``n`` in a soak, a tenth of it otherwise."""
    return n if os.environ.get("AVATAR_SOAK") else n // 10
