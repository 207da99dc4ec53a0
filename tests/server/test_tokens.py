from __future__ import annotations

import hashlib

import jwt
import pytest

from server.app import create_app
from server.errors import InvalidApiKey, InvalidToken, MissingApiKey, SettingsError
from server.live_session import Performing
from server.settings import Settings
from server.start_request import StartRequest
from server.tokens import ApiKeys, SessionTokens, bearer, new_api_key, new_token_secret

SECRET = new_token_secret()


def test_a_key_is_known_by_its_hash_and_tells_its_owner_apart() -> None:
    one, two = new_api_key(), new_api_key()
    keys = ApiKeys([one, two])
    assert keys.owner(one) == keys.owner(one) != keys.owner(two)
    assert one not in repr(vars(keys))
    assert one not in keys.owner(one)


def test_a_key_that_is_missing_or_wrong_is_refused() -> None:
    keys = ApiKeys([new_api_key()])
    for nothing in (None, ""):
        with pytest.raises(MissingApiKey):
            keys.owner(nothing)
    with pytest.raises(InvalidApiKey):
        keys.owner("wrong")
    with pytest.raises(InvalidApiKey):
        ApiKeys([]).owner("any")


def test_a_token_names_its_session_as_often_as_it_is_asked() -> None:
    tokens = SessionTokens(SECRET, 60)
    token = tokens.issue("s1")
    assert [tokens.session_id(token) for _ in range(3)] == ["s1"] * 3


def test_a_token_outlives_no_longest_session() -> None:
    now = 1000.0
    tokens = SessionTokens(SECRET, 60, now=lambda: now)
    token, unlimited = tokens.issue("s1"), SessionTokens(SECRET, 0, now=lambda: now).issue("s1")
    now = 1059.0
    assert tokens.session_id(token) == "s1"
    now = 1062.0
    with pytest.raises(InvalidToken, match="expired"):
        tokens.session_id(token)
    assert tokens.session_id(unlimited) == "s1"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        SessionTokens(new_token_secret(), 60).issue("s1"),
        jwt.encode({"iss": "open-avatar", "sub": "s1", "iat": 0}, "", "none"),
        jwt.encode({"iss": "another", "sub": "s1", "iat": 0}, SECRET, "HS256"),
        jwt.encode({"iss": "open-avatar", "iat": 0}, SECRET, "HS256"),
        jwt.encode({"iss": "open-avatar", "sub": "s1", "iat": 0}, SECRET, "HS512"),
    ],
)
def test_a_token_that_this_server_did_not_issue_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        SessionTokens(SECRET, 60).session_id(token)


def test_a_changed_token_is_refused() -> None:
    tokens = SessionTokens(SECRET, 60)
    head, claims, signature = tokens.issue("s1").split(".")
    _, others, _ = tokens.issue("s2").split(".")
    with pytest.raises(InvalidToken):
        tokens.session_id(f"{head}.{others}.{signature}")
    assert claims != others


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc ", "abc"),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


def test_a_key_may_be_set_as_its_hash() -> None:
    digest = "sha256:" + hashlib.sha256(b"secret").hexdigest()
    keys = ApiKeys([digest])
    assert keys.owner("secret") == ApiKeys(["secret"]).owner("secret")
    with pytest.raises(InvalidApiKey):
        keys.owner(digest)
    with pytest.raises(SettingsError, match="hexadecimal"):
        Settings.read({"AVATAR_API_KEYS": "sha256:abc"})


def test_a_server_keeps_no_key_that_could_be_read() -> None:
    async def nobody(request: StartRequest, session_id: str) -> Performing:
        raise NotImplementedError

    app = create_app(Settings(api_keys=("a-secret-key",), token_secret="s" * 32), nobody, list)
    assert app.state.settings.api_keys == ()
    assert app.state.settings.token_secret == ""
    assert "a-secret-key" not in repr(vars(app.state.api_keys))
