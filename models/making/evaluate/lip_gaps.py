"""A face tracker looks at a film: the gap between the lips in every frame.

A script for an environment of its own, because MediaPipe 0.10.21 needs NumPy 1; ``make evaluate`` makes one and runs
it. Landmarks 13 and 14 are the inner edges of the lips, 33 and 263 the outer corners of the eyes (MediaPipe's
canonical face model).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

UPPER_LIP, LOWER_LIP, EYE, OTHER_EYE = 13, 14, 33, 263


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("film", type=Path, help="what an avatar spoke, as MP4")
    parser.add_argument("gaps", type=Path, help=".npz to write: times_s (n,) of the frames; gaps (n,), NaN: no face")
    options = parser.parse_args()
    os.environ["GLOG_minloglevel"] = "2"  # MediaPipe talks about its delegates otherwise

    import av
    import mediapipe
    import numpy as np
    from rich.progress import track

    def gap(landmarks: Any, height: int, width: int) -> float:
        """The lips' gap in distances between the eyes."""
        points = {i: np.array([landmarks[i].x * width, landmarks[i].y * height]) for i in (13, 14, 33, 263)}
        eyes = np.linalg.norm(points[EYE] - points[OTHER_EYE])
        return float(np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP]) / eyes)

    times, gaps = [], []
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
    with mesh, av.open(str(options.film)) as container:
        n_frames = container.streams.video[0].frames
        for frame in track(container.decode(video=0), "looking at the lips", total=n_frames or None):
            picture = frame.to_ndarray(format="rgb24")
            found = mesh.process(picture).multi_face_landmarks
            times.append(frame.time or 0.0)
            gaps.append(gap(found[0].landmark, *picture.shape[:2]) if found else np.nan)
    if not np.isfinite(gaps).any():
        sys.stderr.write(f"no face was found in {options.film}\n")
        return 1
    part = options.gaps.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, times_s=np.array(times), gaps=np.array(gaps))
    part.replace(options.gaps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
