"""What is wrong with the content of ``special``."""

from __future__ import annotations

from avatar.errors import AvatarError


class NotUnderstood(AvatarError):
    """Content that is neither an action nor gesture XML; it is ignored, and the sender told why."""
