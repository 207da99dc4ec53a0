"""Pictures that take work, made before sessions need them, in a thread that leaves the cores to others."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable

from avatar.compositor import Compositor
from avatar.rehearsal import crossings
from server.threads import LOADING, giving_way

log = logging.getLogger(__name__)


def rehearse(compositor: Compositor, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Crosses clips where sessions are likely to, as often as pictures of it are kept: its memory does not grow later.

    What was crossed already takes no time. Blocks for 3.3 s with ``ava`` at 480x480; sessions may perform meanwhile.

    Args:
        goes_on: is asked again and again; False ends it early.
    """
    for shot in crossings(compositor.bundle):
        if compositor.is_full or not goes_on():
            break
        if not compositor.is_ready(shot):
            compositor.compose(shot)


class Rehearsals:
    """Rehearses in one thread, for all sessions; closing gives up what is not finished."""

    def __init__(self) -> None:
        self._thread = giving_way(1, "rehearsal", LOADING)
        self._begun: weakref.WeakSet[Compositor] = weakref.WeakSet()
        self.is_closing = False

    def begin(self, compositor: Compositor) -> None:
        """Returns at once; each is rehearsed once."""
        if compositor not in self._begun:
            self._begun.add(compositor)
            self._thread.submit(self._rehearse, compositor)

    def _rehearse(self, compositor: Compositor) -> None:
        try:
            rehearse(compositor, lambda: not self.is_closing)
        except Exception:  # sessions will meet it themselves, if it is more than a passing trouble
            log.exception("a rehearsal failed", extra={"avatar": compositor.bundle.id})

    def close(self) -> None:
        """Blocks until one picture is finished, at most."""
        self.is_closing = True
        self._thread.shutdown(cancel_futures=True)
