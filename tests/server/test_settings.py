from __future__ import annotations

import pytest

from server.errors import SettingsError
from server.publishers.offers import IceServer, ice_server
from server.settings import Settings, markdown, table


def test_a_variable_sets_and_a_flag_wins() -> None:
    environ = {"AVATAR_PORT": "9000", "AVATAR_API_KEYS": " one, two,,one", "AVATAR_LEAD_MS": "40", "PORT": "1"}
    settings = Settings.read(environ, {"port": "9001", "host": None})
    assert (settings.port, settings.lead_ms, settings.host) == (9001, 40, "127.0.0.1")
    assert settings.api_keys == ("one", "two")


def test_an_empty_variable_is_not_set() -> None:
    assert Settings.read({"AVATAR_PORT": "", "AVATAR_RUNTIME": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AVATAR_PORT", "http", "AVATAR_PORT is 'http', but must be a whole number from 0 to 65535"),
        ("AVATAR_PORT", "70000", "AVATAR_PORT is '70000', but must be a whole number from 0 to 65535"),
        ("AVATAR_GRACE_S", "-1", "AVATAR_GRACE_S is '-1', but must be a number of seconds"),
        ("AVATAR_GRACE_S", "nan", "AVATAR_GRACE_S is 'nan', but must be a number of seconds"),
        ("AVATAR_RUNTIME", "cuda", "AVATAR_RUNTIME is 'cuda', but must be one of auto, torch, onnx-cuda, openvino"),
        ("AVATAR_PUBLISHERS", "webrtc,tv", "AVATAR_PUBLISHERS is 'webrtc,tv', but must be a comma-separated list of"),
        ("AVATAR_PUBLIC_URL", "example.com", "AVATAR_PUBLIC_URL is 'example.com', but must be a URL"),
        ("AVATAR_PATH_PREFIX", "ava", "AVATAR_PATH_PREFIX is 'ava', but must be a path"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.read({variable: value})
    assert str(refused.value).startswith(message)


def test_a_bad_flag_is_called_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match="--publisher is 'tv'"):
        Settings.read({}, {"publishers": "tv"})
    with pytest.raises(SettingsError, match="there is no setting 'colour'"):
        Settings.read({}, {"colour": "red"})


def test_secrets_are_not_shown() -> None:
    settings = Settings(api_keys=("very-secret-key",), token_secret="very-secret-" * 4)
    assert "very-secret" not in repr(settings)
    with pytest.raises(SettingsError) as refused:
        Settings.read({"AVATAR_TOKEN_SECRET": "very-secret"})
    assert "very-secret" not in str(refused.value)


def test_every_default_is_a_value_that_could_be_given() -> None:
    shown = {row.variable: row.shown_default for row in table()}
    assert Settings.read(shown) == Settings()


def test_the_table_names_every_setting() -> None:
    lines = markdown().splitlines()
    assert len(lines) == 2 + len(table())
    port = next(line for line in lines if "AVATAR_PORT" in line)
    assert "`AVATAR_PORT` | `--port` | `8080` |" in port


def test_ice_servers_are_read_with_and_without_an_account() -> None:
    assert ice_server("stun:example.org:3478") == IceServer("stun:example.org:3478")
    assert ice_server("turn:ann:secret@example.org:3478") == IceServer("turn:example.org:3478", "ann", "secret")
    with pytest.raises(SettingsError, match=r"AVATAR_ICE_SERVERS is …, but must be a comma-separated list of stun:"):
        Settings.read({"AVATAR_ICE_SERVERS": "http://example.org"})
