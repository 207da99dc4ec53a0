"""Why a connection to a channel failed: the SDK's numbers as codes and sentences for the client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """``final``: another try with the same settings would end in the same way."""

    code: str
    message: str
    final: bool


REASONS = {
    3: Reason("CHANNEL_BANNED", "Agora banned the avatar's uid from the channel", True),
    4: Reason("CHANNEL_JOIN_FAILED", "the channel could not be joined", False),
    6: Reason("CHANNEL_INVALID_APP_ID", "Agora does not know this app_id", True),
    7: Reason("CHANNEL_INVALID_NAME", "Agora does not allow this channel name", True),
    8: Reason("CHANNEL_INVALID_TOKEN", "the token is not for this app_id, channel, uid and uid mode", True),
    9: Reason("CHANNEL_TOKEN_EXPIRED", "the token has expired", True),
    10: Reason("CHANNEL_REJECTED", "Agora's server refused the avatar", True),
    14: Reason("CHANNEL_CONNECTION_LOST", "Agora's server does not answer", False),
    16: Reason("CHANNEL_CONNECTION_LOST", "the connection to the channel is lost", False),
    19: Reason("CHANNEL_SAME_UID", "somebody else joined the channel with the avatar's uid", True),
    20: Reason("CHANNEL_TOO_MANY_BROADCASTERS", "the channel has as many broadcasters as it may have", True),
    21: Reason("CHANNEL_LICENSE", "Agora's licence check failed", True),
}
"""By the SDK's ``CONNECTION_CHANGED_REASON_TYPE`` (AgoraBase.h)."""


def reason(number: int) -> Reason:
    unknown = Reason("CHANNEL_DISCONNECTED", f"the connection ended (reason {number} of the Agora SDK)", False)
    return REASONS.get(number, unknown)
