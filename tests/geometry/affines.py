"""Affines that tests share."""

from __future__ import annotations

import itertools

import numpy as np


def orientations() -> list[np.ndarray]:
    """The 48 ways to lay three axes along the world's, with different spacings and an origin off zero."""
    affines = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = 0
            for axis, (world, sign, spacing) in enumerate(zip(order, signs, (0.75, 1.5, 4.0), strict=True)):
                affine[world, axis] = sign * spacing
            affine[:3, 3] = (-12.5, 33.25, 101.0)
            affines.append(affine)
    return affines


def sheared() -> np.ndarray:
    return np.array([[1.0, 0.2, 0, 5], [0, 1.5, 0.1, -6], [0, 0, 2, 7], [0, 0, 0, 1]])


def tilted(degrees: float = 20.0) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * (0.5, 2, 3)
    affine[:3, 3] = (1, 2, 3)
    return affine
