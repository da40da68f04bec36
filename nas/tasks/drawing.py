"""Draw 8×8 images of digits onto larger canvases: scaled, rotated, moved, whole or in part. numpy only."""

from __future__ import annotations

import numpy as np

from nas.tasks.splits import Array


def painted(images: Array, middles: Array, scales: Array, angles: Array, size: int) -> Array:
    """Return the darkness (n, size, size) of images (n, 8, 8), interpolated bilinearly; it is 0 outside of them.

    middles  (n, 2), where the middle of each image lies: y and x, in pixels of the canvas
    scales   (n,), the size of each image in multiples of 8 pixels
    angles   (n,), its rotation in radians
    """
    y, x = np.mgrid[:size, :size][:, None] - middles.T[:, :, None, None]
    cosines, sines, scales = (values[:, None, None] for values in (np.cos(angles), np.sin(angles), scales))
    # (v, u) is the position in the image that a pixel of the canvas shows; a border of one pixel is 0
    v = np.clip((cosines * y + sines * x) / scales + 3.5 + 1, 0, 8.999)
    u = np.clip((cosines * x - sines * y) / scales + 3.5 + 1, 0, 8.999)
    row, column = v.astype(int), u.astype(int)
    a, b = v - row, u - column
    place = 10 * row + column + 100 * np.arange(len(images))[:, None, None]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).ravel()
    upper = (1 - b) * padded[place] + b * padded[place + 1]
    lower = (1 - b) * padded[place + 10] + b * padded[place + 11]
    return np.asarray((1 - a) * upper + a * lower)


def fragments(images: Array, starts: Array, rows: Array) -> Array:
    """Return three neighbouring rows or columns of every image (n, 8, 8), too little to be a digit; the rest is 0.

    starts  (n,), the first row or column that is kept, 0 … 5
    rows    (n,), True where rows are kept
    """
    lines = np.arange(8) - starts[:, None]
    kept = (lines >= 0) & (lines < 3)
    return np.asarray(images * np.where(rows[:, None, None], kept[:, :, None], kept[:, None, :]))
