"""Masks of three pictures, each a blob that tells its picture, its orientation and its size."""

import numpy as np

SHAPES = {"a": (30, 41), "b": (52, 37), "c": (40, 40)}
VALUES = {"background": 0, "lesion": 255}


def draw_blob(shape, number):
    y, x = np.mgrid[: shape[0], : shape[1]]
    blob = (y - 12 - number) ** 2 + (x - 20) ** 2 < (7 + number) ** 2
    blob[number, : 2 * number] = True
    return blob
