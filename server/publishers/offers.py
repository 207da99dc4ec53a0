"""What a viewer's offer leads to, for those who carry it: an answer or a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.errors import AvatarError


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, its URL like ``stun:host:port`` or ``turn:host:port``."""

    url: str
    username: str | None = None
    credential: str | None = None


def ice_server(text: str) -> IceServer:
    """A server as an operator writes it: ``stun:host:port``, or ``turn:user:password@host:port``.

    Raises:
        ValueError: it is written in another way.
    """
    scheme, colon, rest = text.partition(":")
    account, at, address = rest.rpartition("@")
    if scheme not in ("stun", "stuns", "turn", "turns") or not address:
        raise ValueError(f"'{scheme}{colon}…' is no STUN or TURN server")
    if not at:
        return IceServer(text)
    username, _, credential = account.partition(":")
    return IceServer(f"{scheme}:{address}", username, credential)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a viewer's offer.

    Attributes:
        viewer_id: names the viewer; a secret, for who knows it may hang up.
    """

    viewer_id: str
    sdp: str


class OfferRefused(AvatarError):
    """An offer that is not SDP, or asks for neither picture nor sound."""


class NoCommonCodec(OfferRefused):
    """An offer without H.264 and VP8, or without Opus."""


class TooManyViewers(AvatarError):
    """The session is watched by as many as it may have."""


class NotOnAir(AvatarError):
    """The session has not begun, or has ended."""
