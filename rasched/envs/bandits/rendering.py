"""Draw the arms of a bandit as an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_HEIGHT, _ARM_WIDTH, _MARGIN = 240, 24, 8  # pixels
_WHITE, _GRAY, _BLUE, _GREEN, _ORANGE = (255, 255, 255), (190, 190, 190), (70, 110, 180), (60, 150, 80), (230, 140, 30)


def draw_arms(means: NDArray[np.float64], num_pulls: NDArray[np.int64], last_arm: int | None) -> NDArray[np.uint8]:
    """Return an RGB image ``(height, width, 3)`` with one column per arm, from ``(arms,)`` means and pull counts.

    The upper bar of a column reaches from zero to the arm's mean, to scale, and is green for the best arm. The lower
    bar is the arm's share of all pulls, orange for the arm that was pulled last.
    """
    image = np.full((_HEIGHT, len(means) * _ARM_WIDTH + 2 * _MARGIN, 3), _WHITE, np.uint8)
    middle = _HEIGHT * 2 // 3  # the upper part shows the means, the lower one the pulls
    low, high = min(means.min(), 0.0), max(means.max(), 0.0)
    pixels_per_unit = (middle - 2 * _MARGIN) / max(high - low, 1e-12)
    zero = _MARGIN + round(high * pixels_per_unit)
    longest_bar = _HEIGHT - middle - 2 * _MARGIN
    shares = num_pulls / max(num_pulls.sum(), 1)
    for arm, (mean, share) in enumerate(zip(means, shares, strict=True)):
        columns = slice(_MARGIN + arm * _ARM_WIDTH + 2, _MARGIN + (arm + 1) * _ARM_WIDTH - 2)
        end = zero - round(mean * pixels_per_unit)
        image[min(zero, end) : max(zero, end) + 1, columns] = _GREEN if mean == means.max() else _BLUE
        bottom = _HEIGHT - _MARGIN
        image[bottom - round(share * longest_bar) : bottom, columns] = _ORANGE if arm == last_arm else _GRAY
    image[zero, _MARGIN:-_MARGIN] = 0
    return image
