"""Pictures that take work, made before sessions need them, by a process that leaves the cores to others."""

from __future__ import annotations

import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.pictures import Picture
from avatar.rehearsal import rehearsed
from models.aside import Aside
from models.shared import Shared

log = logging.getLogger(__name__)


class Rehearsals:
    """Rehearses for all sessions, one avatar's size after the other; closing gives up what is not finished."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "rehearsal")
        self._begun: weakref.WeakSet[Compositor] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._work: Aside[tuple[Shot, Picture]] | None = None
        self._is_closing = False

    def begin(self, compositor: Compositor) -> None:
        """Returns at once; each is rehearsed once, and no longer than it is there."""
        if compositor not in self._begun:
            self._begun.add(compositor)
            self._thread.submit(self._rehearse, weakref.ref(compositor))

    def _rehearse(self, rehearsing: weakref.ref[Compositor]) -> None:
        compositor = rehearsing()
        if compositor is None:
            return
        avatar = compositor.bundle.id
        try:
            with self._lock:
                if self._is_closing:
                    return
                self._work = Aside(partial(rehearsed, arrays=Shared().arrays), compositor.bundle)
            with closing(self._work) as pictures:
                for shot, picture in pictures:
                    del compositor
                    compositor = rehearsing()
                    if compositor is None:
                        break
                    compositor.rehearse(shot, picture)
        except Exception:  # sessions will meet it themselves, if it is more than a passing trouble
            log.exception("a rehearsal failed", extra={"avatar": avatar})
        with self._lock:
            self._work = None  # it holds the footage

    def close(self) -> None:
        """Blocks for a moment."""
        with self._lock:
            self._is_closing = True
            if self._work:
                self._work.close()
        self._thread.shutdown(cancel_futures=True)
