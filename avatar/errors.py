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
