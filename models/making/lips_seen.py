"""Judges an avatar's lips on the finished film: a face tracker measures the gap between them, frame by frame.

A script for an environment of its own (MediaPipe 0.10.21 needs NumPy 1): ``make lips`` makes one and runs it. Landmarks
13 and 14 are the inner edges of the lips, 33 and 263 the outer corners of the eyes (MediaPipe's canonical face model).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

UPPER_LIP, LOWER_LIP, EYE, OTHER_EYE = 13, 14, 33, 263
HOP_S = 0.01
QUIET_DB = -45.0
PAUSE_S = 0.4
SETTLING_S = (0.16, 0.12)
"""After a pause begins, and before it ends, lips may move: they finish the last sound and prepare the next."""
CLOSED = 0.15
"""Lips count as closed below this share of the gap that 95 % of the spoken frames stay under."""
LAGS_S = np.arange(-30, 31) * HOP_S

Floats = NDArray[np.floating[Any]]


def lip_gaps(film: Path) -> tuple[Floats, Floats]:
    """Times (n,) of the film's frames, seconds, and the lips' gap (n,) in distances between the eyes; NaN: no face."""
    import mediapipe

    gaps, times = [], []
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
    with mesh, av.open(str(film)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            found = mesh.process(picture).multi_face_landmarks
            times.append(frame.time or 0.0)
            gaps.append(_gap(found[0].landmark, picture.shape) if found else np.nan)
    return np.array(times), np.array(gaps)


def _gap(landmarks: Any, shape: tuple[int, ...]) -> float:
    points = {i: np.array([landmarks[i].x * shape[1], landmarks[i].y * shape[0]]) for i in (13, 14, 33, 263)}
    eyes = np.linalg.norm(points[EYE] - points[OTHER_EYE])
    return float(np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP]) / eyes)


def loudness(film: Path) -> Floats:
    """Level of the film's sound, dBFS, one value for each 10 ms."""
    with av.open(str(film)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        parts = [piece.to_ndarray()[0] for frame in container.decode(stream) for piece in resampler.resample(frame)]
    sound = np.concatenate(parts).astype(np.float64) / 32768
    hops = sound[: len(sound) // 160 * 160].reshape(-1, 160)
    return np.asarray(10 * np.log10(np.mean(hops**2, axis=1) + 1e-10))


def judge(times: Floats, gaps: Floats, level_db: Floats) -> dict[str, Any]:
    """The figures: faces found, lag of the lips behind the sound, and how closed they are in pauses."""
    seen = np.isfinite(gaps)
    gap = np.interp(times, times[seen], gaps[seen])
    frame_s = float(np.median(np.diff(times)))
    centres = times + frame_s / 2
    opening = np.clip(level_db, -50, 0)
    smooth = np.convolve(opening, np.ones(4) / 4, "same")
    hop_times = (np.arange(len(level_db)) + 0.5) * HOP_S
    correlations = [float(np.corrcoef(gap, np.interp(centres - lag, hop_times, smooth))[0, 1]) for lag in LAGS_S]
    best = int(np.argmax(correlations))
    spoken = np.interp(centres, hop_times, opening) > QUIET_DB
    wide = float(np.percentile(gap[spoken], 95))
    in_pause = _in_pause(level_db, hop_times, centres)
    closed = gap[in_pause] < CLOSED * wide
    return {
        "frames": len(gaps),
        "face_found": round(float(seen.mean()), 4),
        "lag_ms": round(1000 * float(LAGS_S[best])),
        "correlation": round(correlations[best], 3),
        "wide_gap": round(wide, 4),
        "pause_frames": int(in_pause.sum()),
        "closed_in_pauses": round(float(closed.mean()), 4) if len(closed) else None,
    }


def _in_pause(level_db: Floats, hop_times: Floats, centres: Floats) -> NDArray[np.bool_]:
    """Which frames lie well inside of a pause."""
    quiet = np.r_[False, level_db < QUIET_DB, False]
    edges = np.flatnonzero(np.diff(quiet.astype(int)))
    inside = np.zeros(len(centres), bool)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if (end - begin) * HOP_S > PAUSE_S:
            inside |= (centres > begin * HOP_S + SETTLING_S[0]) & (centres < end * HOP_S - SETTLING_S[1])
    return inside


def plot(path: Path, times: Floats, gaps: Floats, level_db: Floats, figures: dict[str, Any]) -> None:
    """The lips' gap over the sound's level, for the first 20 seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(14, 4))
    hop_times = (np.arange(len(level_db)) + 0.5) * HOP_S
    axes.fill_between(hop_times, -60, np.clip(level_db, -60, 0), color="#cfd8e3", label="level of the sound, dBFS")
    axes.set(xlim=(0, min(20, times[-1])), ylim=(-60, 0), xlabel="seconds", ylabel="dBFS")
    lips = axes.twinx()
    lips.plot(times, gaps, color="#b5442e", label="gap between the lips, in distances between the eyes")
    lips.set_ylim(0, None)
    closed = 100 * (figures["closed_in_pauses"] or 0)
    axes.set_title(
        f"face found in {100 * figures['face_found']:.1f} % of the frames, lips follow the sound by "
        f"{figures['lag_ms']} ms (r {figures['correlation']}), closed in {closed:.1f} % of the frames of pauses"
    )
    figure.legend(loc="lower right", ncols=2, fontsize="small", frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=90)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("film", type=Path, help="what an avatar spoke, as MP4")
    parser.add_argument("--plot", type=Path, help="where to draw the lips over the sound")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    times, gaps = lip_gaps(options.film)
    if not np.isfinite(gaps).any():
        sys.stderr.write(f"no face was found in {options.film}\n")
        return 1
    level_db = loudness(options.film)
    figures = judge(times, gaps, level_db)
    if options.plot:
        plot(options.plot, times, gaps, level_db, figures)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
