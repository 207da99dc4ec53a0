"""The model's space: centimetres, y up, the face towards +z; and the step from it to Blender's decimetres, z up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Points = NDArray[np.float64]

DM_PER_CM = 0.1

AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Rotation from model axes to Blender axes, (3, 3)."""


def to_blender(points: Points) -> Points:
    """Model points (..., 3) in cm as Blender points (..., 3) in dm; the face looks towards -y."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1) * DM_PER_CM


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) in model axes: yaw to the face's left, pitch down, roll to its right, in degrees."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float64)


def rigid(turn: NDArray[np.float64], pivot: Points, shift: Points | None = None) -> NDArray[np.float64]:
    """A rigid motion (4, 4) in model space: ``turn`` (3, 3) about ``pivot`` (3,), then ``shift`` (3,), in cm."""
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = pivot - turn @ pivot + (0.0 if shift is None else shift)
    return motion


def moved(motion: NDArray[np.float64], points: Points) -> Points:
    """Points (..., 3) after a motion (4, 4)."""
    return np.asarray(points @ motion[:3, :3].T + motion[:3, 3], np.float64)


def blender_matrix(motion: NDArray[np.float64]) -> list[list[float]]:
    """A model-space motion (4, 4) as the rows of Blender's matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = AXES @ motion[:3, :3] @ AXES.T
    matrix[:3, 3] = to_blender(motion[:3, 3])
    return [[float(value) for value in row] for row in matrix]


def smoothstep(start: float, end: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 up to ``start``, 1 from ``end`` on, smooth between; falls when ``end`` < ``start``."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float64)


def value_noise(points: Points, frequency: float, seed: int) -> NDArray[np.float64]:
    """Smooth noise from -1 to 1 at points (..., 3), one cell per 1/frequency cm, periodic in 24 cells."""
    lattice = np.random.default_rng(seed).random((24, 24, 24))
    cell = (points * frequency) % 24
    noise = map_coordinates(lattice, cell.reshape(-1, 3).T, order=1, mode="grid-wrap")
    return np.asarray(noise.reshape(points.shape[:-1]) * 2 - 1, np.float64)


def fractal_noise(points: Points, frequency: float, seed: int, n_octaves: int = 4) -> NDArray[np.float64]:
    """Octaves of `value_noise`, each twice as fine and half as strong."""
    octaves = (value_noise(points + 7.3 * k, frequency * 2**k, seed + k) * 0.5**k for k in range(n_octaves))
    return np.asarray(sum(octaves), np.float64)


def unit(vectors: Points) -> Points:
    """Vectors (..., 3 or 2) at length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 1e-9, length, 1.0), np.float64)
