from __future__ import annotations

import json
from typing import Any

import pytest

from server.errors import InvalidJson, ValidationFailed
from server.rest_types import Channel
from server.start_request import StartRequest, first_dialect_request, start_request
from server.validation import json_object
from tests.server.running import START

TEXT = "be a string of 1 to 1024 characters, not empty"
SECONDS = "activity_idle_timeout must be a number of seconds from 0 to 1000000000 (0 is never)"


def asked(**changes: Any) -> StartRequest:
    return start_request({**START, **changes})


def asked_of_agora(**changes: Any) -> StartRequest:
    return asked(agora_settings={**START["agora_settings"], **changes})


def test_the_documented_body_is_understood() -> None:
    request = asked(activity_idle_timeout=60, area="INDIA", video_width=720, video_height=1280)
    assert (request.avatar_id, request.quality, request.video_encoding) == ("ava", "medium", "H264")
    assert (request.activity_idle_timeout_s, request.area, request.video_size) == (60, "INDIA", (720, 1280))
    assert (request.agora.app_id, request.agora.channel, request.agora.uid) == ("app", "room", "1001")
    assert request.agora.enable_string_uid is False


def test_what_is_optional_may_be_left_out_or_null() -> None:
    for request in (asked(), asked(area=None, activity_idle_timeout=None, video_width=None, aspect_ratio=None)):
        assert (request.area, request.activity_idle_timeout_s, request.video_size) == ("GLOBAL", None, None)
        assert request.aspect_ratio is None


@pytest.mark.parametrize("text", ["9:16", "9x16", "9/16"])
def test_an_aspect_ratio_may_be_spelled_three_ways(text: str) -> None:
    assert asked(aspect_ratio=text).aspect_ratio == (9, 16)


def test_fields_that_nobody_knows_are_kept() -> None:
    assert asked(vendor={"a": [1]}, note="x").passthrough == {"vendor": {"a": [1]}, "note": "x"}


def test_the_channels_token_is_not_shown() -> None:
    assert "a-channel-token" not in repr(asked_of_agora(token="a-channel-token"))


@pytest.mark.parametrize("name", [*START, *(f"agora_settings.{name}" for name in START["agora_settings"])])
@pytest.mark.parametrize("null", [True, False])
def test_each_required_field_is_missed_by_its_name(name: str, null: bool) -> None:
    body = json.loads(json.dumps(START))
    *outer, last = name.split(".")
    where = body[outer[0]] if outer else body
    if null:
        where[last] = None
    else:
        del where[last]
    with pytest.raises(ValidationFailed) as refused:
        start_request(body)
    assert refused.value.message == f"Missing required field: {name}"


def test_several_missing_fields_are_named_in_one_answer() -> None:
    with pytest.raises(ValidationFailed) as refused:
        start_request({"avatar_id": "ava", "version": "v1"})
    assert refused.value.message == "Missing required field(s): quality, video_encoding, agora_settings"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"avatar_id": 7}, f"avatar_id must {TEXT}"),
        ({"avatar_id": ""}, f"avatar_id must {TEXT}"),
        ({"quality": "HIGH"}, "quality must be one of low, medium, high"),
        ({"version": "v2"}, "version must be one of v1, 1.0"),
        ({"version": 1.0}, "version must be one of v1, 1.0"),
        ({"video_encoding": "H265"}, "video_encoding must be one of H264, VP8, AV1"),
        ({"area": "MOON"}, "area must be one of GLOBAL, NORTH_AMERICA, EUROPE, ASIA, INDIA, JAPAN"),
        ({"activity_idle_timeout": "60"}, SECONDS),
        ({"activity_idle_timeout": True}, SECONDS),
        ({"activity_idle_timeout": -1}, SECONDS),
        ({"activity_idle_timeout": 10**400}, SECONDS),
        ({"video_width": 640}, "video_width and video_height must be given together"),
        *[
            ({"video_width": 640, "video_height": height}, "video_height must be a whole number from 64 to 1920")
            for height in (0, 63, 480.5, 1921)
        ],
        ({"aspect_ratio": "1:5"}, "aspect_ratio must be from 1:4 to 4:1"),
        ({"aspect_ratio": "wide"}, 'aspect_ratio must be "W:H", such as "9:16"'),
        ({"agora_settings": "room"}, "agora_settings must be an object"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        asked(**changes)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uid": 1001}, f"agora_settings.uid must {TEXT}"),
        ({"channel": ""}, f"agora_settings.channel must {TEXT}"),
        ({"enable_string_uid": "false"}, "agora_settings.enable_string_uid must be true or false"),
    ],
)
def test_a_wrong_agora_setting_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        asked_of_agora(**changes)
    assert refused.value.message == message


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationFailed, match="must be a JSON object"):
        json_object(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'{"\xff": 1}', b"[" * 100_000, b'{"a": 1e999}'])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        json_object(body)


def test_the_first_dialect_names_no_project_quality_or_codec() -> None:
    request = first_dialect_request(
        {"region": "asia", "avatar_id": "ava", "agora_token": "t", "agora_uid": "7", "agora_channel": "room", "x": 1},
        "the-operators-project",
    )
    assert request.agora == Channel("the-operators-project", "room", "7", False, "t")
    assert (request.quality, request.video_encoding, request.area) == ("medium", "H264", "ASIA")
    assert request.passthrough == {"x": 1}


def test_the_first_dialect_takes_numbers_and_names_as_uids() -> None:
    def agora(uid: object) -> Channel:
        return first_dialect_request({"avatar_id": "ava", "agora_uid": uid, "agora_channel": "room"}, "app").agora

    assert (agora(1001).uid, agora(1001).enable_string_uid) == ("1001", False)
    assert (agora("anna").uid, agora("anna").enable_string_uid) == ("anna", True)
    for wrong in ("", True, 1.5):
        with pytest.raises(ValidationFailed, match="agora_uid must"):
            agora(wrong)
