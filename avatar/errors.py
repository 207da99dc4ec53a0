"""What can go wrong inside the performance; the server maps these to status codes and events in one place."""


class AvatarError(Exception):
    """Anything this project refuses, in one sentence that a user can act on."""


class BundleError(AvatarError):
    """An avatar's footage, tracks or weights do not fit together."""


class AudioError(AvatarError):
    """Speech that cannot be used: wrong shape, rate or encoding."""


class BacklogFull(AvatarError):
    """More speech is waiting than a session may hold; the newest is refused."""


class UnknownState(AvatarError):
    """A state that the avatar does not have."""


class AvatarNotFound(AvatarError):
    """An avatar that no folder of this server has."""

    def __init__(self, avatar_id: str, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no avatar '{avatar_id[:64]}'; known are: {', '.join(known) or 'none'}")
        self.avatar_id = avatar_id
        self.known = known


class RuntimeUnavailable(AvatarError):
    """A library to run networks with that is unknown or not installed; the message says what to install."""
