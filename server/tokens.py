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
STUDIO_ISSUER = "open-avatar-studio"


HASHED = "sha256:"


def hashed_key(text: str) -> bytes:
    """The digest in ``sha256:`` and 64 hexadecimal digits.

    Raises:
        ValueError: it is none.
    """
    digest = bytes.fromhex(text.removeprefix(HASHED))
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
    return digest


def new_api_key() -> str:
    """A key for a server whose operator set none."""
    return secrets.token_urlsafe(24)


def new_token_secret() -> str:
    return secrets.token_urlsafe(48)


class ApiKeys:
    """The keys that callers may use, kept as hashes only; they may also be given as hashes, ``sha256:…``.

    A plain SHA-256 is enough for them: they are long and random, so that no list of likely ones can be tried.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(hashed_key(key) if key.startswith(HASHED) else _digest(key) for key in keys)

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


class StudioPasses:
    """What a browser shows to load the studio's page, for some hours after it brought a key."""

    HOURS = 12

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now

    def issue(self) -> str:
        expires = int(self._now() + self.HOURS * 3600)
        return jwt.encode({"iss": STUDIO_ISSUER, "exp": expires}, self._secret, ALGORITHM)

    def is_valid(self, given: str) -> bool:
        try:
            claims = jwt.decode(
                given,
                self._secret,
                [ALGORITHM],
                issuer=STUDIO_ISSUER,
                options={"require": ["exp"], "verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return False
        return bool(self._now() < claims["exp"])


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer …`` header, if it is one."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
