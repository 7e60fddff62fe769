"""Digital shapes whose sizes are known, at random places."""

import numpy as np


def grid(spacing, reach, rng):
    """Coordinates in mm of all positions around a centre that lies somewhere within its pixel, (axes, *spatial)."""
    counts = [int(2 * reach / step) + 6 for step in spacing]
    axes = [(np.arange(n) - n // 2 + rng.random()) * step for n, step in zip(counts, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def ball(radius, spacing, rng):
    """A disc or a ball."""
    return np.linalg.norm(grid(spacing, radius, rng), axis=0) < radius


def ellipse(radii, angle, spacing, rng):
    along, across = turned(grid(spacing, max(radii), rng), angle)
    return (along / radii[0]) ** 2 + (across / radii[1]) ** 2 < 1


def rectangle(sides, angle, spacing, rng):
    along, across = turned(grid(spacing, np.hypot(*sides) / 2, rng), angle)
    return (abs(along) < sides[0] / 2) & (abs(across) < sides[1] / 2)


def box(sides, spacing, rng):
    """A box in a random direction."""
    directions, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    places = np.tensordot(directions, grid(spacing, np.linalg.norm(sides) / 2, rng), 1)
    return (abs(places) < np.reshape(sides, (3, 1, 1, 1)) / 2).all(axis=0)


def turned(places, angle):
    y, x = places
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
