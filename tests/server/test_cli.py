"""The command ``avatar``, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
AVATAR = [sys.executable, "-m", "server"]


def environment(avatars: Path) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("AVATAR_")}
    return own | {"AVATAR_AVATAR_DIRS": str(avatars), "COLUMNS": "200", "AVATAR_API_KEYS": "key"}


def avatar(avatars: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*AVATAR, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment(avatars), timeout=120, check=False
    )


def voice(seconds: float, rate: int = 24_000) -> NDArray[np.int16]:
    t = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (180 * t + 400 * t**2 / seconds)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    return (9000 * tone).astype(np.int16)


def write_wav(path: Path, pcm: NDArray[np.int16], rate: int = 24_000) -> Path:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return path


def film(path: Path) -> tuple[int, NDArray[np.float64]]:
    """Number of pictures, and the sound at 48 kHz."""
    with av.open(str(path)) as container:
        n_pictures = sum(1 for _ in container.decode(video=0))
        container.seek(0)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return n_pictures, sound.astype(np.float64)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(avatars: Path, *flags: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    command = [*AVATAR, "serve", "--port", str(port), *map(str, flags)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(avatars), text=True, stderr=subprocess.PIPE) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if httpx.get(f"{url}/readyz").status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.1)
            yield url, process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def avatars(tiny_avatar: Path) -> Path:
    return tiny_avatar


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", voice(2.0))


def test_render_makes_a_film_as_long_as_the_speech_with_the_same_sound(
    avatars: Path, speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    done = avatar(avatars, "render", speech, "-o", out, "--avatar", "tiny")
    assert done.returncode == 0, done.stderr
    n_pictures, sound = film(out)
    assert n_pictures == 50
    expected = soxr.resample(voice(2.0), 24_000, 48_000).astype(np.float64)
    assert abs(len(sound) - len(expected)) <= 1920
    n = 1 << 18
    correlation = np.fft.irfft(np.fft.rfft(sound, n) * np.conj(np.fft.rfft(expected, n)), n)
    lag = int(np.argmax(correlation))
    assert min(lag, n - lag) <= 48
    at_zero = sound[: len(expected)], expected[: len(sound)]
    assert np.corrcoef(*at_zero)[0, 1] >= 0.99


def test_list_names_states_and_gestures_for_machines(avatars: Path) -> None:
    listed = json.loads(avatar(avatars, "list", "--json").stdout)["avatars"]
    tiny = next(one for one in listed if one["id"] == "tiny")
    assert tiny["gestures"] == ["NOD", "SMILE"]
    assert tiny["states"] == ["idle", "listen", "talk"]
    assert "tiny" in avatar(avatars, "list").stdout


def test_doctor_says_what_the_machine_has_one_line_each(avatars: Path) -> None:
    done = avatar(avatars, "doctor")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for what in ("CPU", "GPU", "Runtime", "encoder libx264", "Agora SDK"):
        assert any(line.startswith("ok   " + what) for line in lines), what


def test_bench_prints_one_json_object(avatars: Path, speech: Path) -> None:
    done = avatar(
        avatars, "bench", "--avatar", "tiny", "--seconds", "3", "--speech", speech, "--publisher", "null", "--json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["frames"] > 25
    assert set(figures["lateness_ms"]) == {"p50", "p95", "p99"}
    assert {"event loop", "encoders", "speech encoder", "mouth", "composition"} <= set(figures["cpu"])
    assert {
        "late_frames",
        "repeated_frames",
        "first_frame_ms",
        "interrupt_ms",
        "cpu_seconds_per_second",
        "rss_mb",
    } <= set(figures)


def test_demo_leaves_a_film_and_its_figures(avatars: Path, speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo.mp4"
    done = avatar(avatars, "demo", speech, "-o", out, "--avatar", "tiny")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert set(figures) == {"frames", "late_frames", "first_frame_ms", "av_offset_ms", "cpu_seconds_per_second"}
    n_pictures, sound = film(out)
    assert n_pictures >= 50
    assert np.abs(sound).max() > 0.1
    assert abs(figures["av_offset_ms"]) <= 1


def test_speak_talks_to_a_running_server_whose_files_are_complete_after_sigterm(
    avatars: Path, speech: Path, tmp_path: Path
) -> None:
    with serving(avatars, "--publisher", "recording,webrtc", "--record-dir", tmp_path) as (url, process):
        done = avatar(avatars, "speak", speech, "--url", url, "--avatar", "tiny")
        assert done.returncode == 0, done.stderr
        assert "2.00 s spoken" in done.stderr
        body = {
            "avatar_id": "tiny", "quality": "low", "version": "v1", "video_encoding": "H264",
            "agora_settings": {"app_id": "a", "token": "", "channel": "c", "uid": "1", "enable_string_uid": False},
        }  # fmt: skip
        started = httpx.post(f"{url}/session/start", json=body, headers={"x-api-key": "key"}).json()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    recordings = sorted(tmp_path.glob("*.mp4"))
    assert f"{started['session_id']}.mp4" in {path.name for path in recordings}
    assert len(recordings) == 2
    for path in recordings:
        assert film(path)[0] >= 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "missing.wav", "-o", "x.mp4", "--avatar", "tiny"], "missing.wav"),
        (["render", "README.md", "-o", "x.mp4", "--avatar", "tiny"], "README.md"),
        (["render", "{speech}", "-o", "x.mp4", "--avatar", "nobody"], "nobody"),
        (["render", "{speech}", "-o", "/proc/none/x.mp4", "--avatar", "tiny"], "/proc/none"),
        (["speak", "{speech}", "--url", "http://127.0.0.1:9"], "127.0.0.1:9"),
        (["serve", "--port", "many"], "--port is 'many'"),
        (["serve", "--publisher", "television"], "television"),
        (["list", "--runtime", "abacus"], "--runtime"),
        (["doctor", "--runtime", "abacus"], "abacus"),
    ],
)
def test_what_goes_wrong_is_said_in_one_place_and_the_exit_is_not_zero(
    avatars: Path, speech: Path, arguments: list[str], said: str
) -> None:
    done = avatar(avatars, *(argument.format(speech=speech) for argument in arguments))
    assert done.returncode != 0
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said_clearly(avatars: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = avatar(avatars, "serve", "--port", str(port))
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
