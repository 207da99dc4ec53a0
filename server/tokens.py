"""Who may come in: API keys for the REST calls, signed tokens for the WebSocket of one session."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable

import jwt

from server.errors import InvalidApiKey, InvalidToken, MissingApiKey

ALGORITHM = "HS256"
ISSUER = "open-avatar"


def new_api_key() -> str:
    """A key for a server whose operator set none."""
    return secrets.token_urlsafe(24)


def new_token_secret() -> str:
    return secrets.token_urlsafe(48)


class ApiKeys:
    """The keys that callers may use, kept as hashes only."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def owner(self, presented: str | None) -> str:
        """Who presents this key: a name that tells callers apart and does not give the key away.

        Raises:
            MissingApiKey: nothing was presented.
            InvalidApiKey: the key is not one of ours.
        """
        if not presented:
            raise MissingApiKey
        digest = _digest(presented)
        # Every key is compared, and each in constant time: how long it takes says nothing about which was close.
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(found):
            raise InvalidApiKey
        return digest.hex()[:16]


class SessionTokens:
    """JWTs that name a session; each works many times, until its session ends or ``longest_s`` (0: none) are over."""

    def __init__(self, secret: str, longest_s: float, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._longest_s = longest_s
        self._now = now

    def issue(self, session_id: str) -> str:
        now = self._now()
        claims: dict[str, object] = {"iss": ISSUER, "sub": session_id, "iat": int(now)}
        if self._longest_s:
            claims["exp"] = int(now + self._longest_s) + 1
        return jwt.encode(claims, self._secret, ALGORITHM)

    def session_id(self, token: str) -> str:
        """The session that a token was issued for.

        Raises:
            InvalidToken: it is not ours, was changed, or has expired.
        """
        try:
            claims = jwt.decode(
                token,
                self._secret,
                [ALGORITHM],
                issuer=ISSUER,
                options={"require": ["sub", "iat"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise InvalidToken from error
        expires = claims.get("exp")
        if expires is not None and self._now() >= expires:
            raise InvalidToken("The session token has expired")
        return str(claims["sub"])


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer …`` header, if it is one."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
