"""Images of one spot of light, and where the light is."""

import numpy as np
from scipy import ndimage


def spot(row: int, column: int) -> np.ndarray:
    """A black image with one white pixel, (1, 21, 21)."""
    image = np.zeros((1, 21, 21), dtype=np.float32)
    image[0, row, column] = 1
    return image


def centre(image: np.ndarray) -> tuple[float, float]:
    """Where the light is: row and column."""
    return tuple(ndimage.center_of_mass(image[0]))
