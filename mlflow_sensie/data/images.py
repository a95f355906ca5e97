"""Encoded images, as files or bytes, to arrays and back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")


def is_image(cell: Any) -> bool:
    """Whether a cell is an encoded image, or the path of one."""
    if isinstance(cell, bytes | bytearray):
        return cell.startswith(_STARTS) or (cell[:4] == b"RIFF" and cell[8:12] == b"WEBP")
    return isinstance(cell, str | Path) and str(cell).lower().endswith(SUFFIXES)


def decode_images(cells: Any, size: tuple[int, int] | None = None, mode: str | None = None) -> NDArray[Any]:
    """Return paths or encoded images (n,) as one array: (n, H, W, 3) of colours, or (n, H, W) of greys.

    ``size`` (H, W) resizes them (bilinear, as Pillow does it); without it all must have one size. ``mode`` is
    ``"RGB"``, ``"L"`` (grey), or ``None``: colours where the image has any.

    Raises:
        DataError: a cell is no image that can be read, or the sizes differ.
    """
    decoded = [_decode(cell, size, mode) for cell in cells]
    shapes = list(dict.fromkeys(image.shape for image in decoded))
    if len(shapes) > 1:
        odd = next(cell for cell, image in zip(cells, decoded, strict=True) if image.shape != shapes[0])
        raise DataError(
            f"the images must have one shape; {shapes[0]} and {shapes[1]} came ({_name(odd)}); "
            "size=(H, W) and mode='RGB' or 'L' of from_image_folder make them one"
        )
    return np.stack(decoded)


def _decode(cell: Any, size: tuple[int, int] | None, mode: str | None) -> NDArray[Any]:
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(cell) if isinstance(cell, bytes | bytearray) else cell) as opened:
            image = opened.convert(mode or _plain_mode(opened.mode))
            if size is not None:
                image = image.resize((size[1], size[0]), PIL.Image.Resampling.BILINEAR)
            return np.asarray(image)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{_name(cell)} cannot be read as an image: {error}") from error


def _plain_mode(mode: str) -> str:
    """Grey stays grey, 16 bits and floats stay what they are; palettes, transparency and the like become RGB."""
    return mode if mode in ("L", "F", "I") or mode.startswith("I;") else "L" if mode in ("1", "LA") else "RGB"


def _name(cell: Any) -> str:
    return f"an image of {len(cell)} bytes" if isinstance(cell, bytes | bytearray) else str(cell)


def encode_images(pixels: NDArray[Any]) -> list[bytes]:
    """Return images (n, H, W, 3) or (n, H, W), of values 0 to 255, as PNG, which loses nothing."""
    import PIL.Image

    encoded = []
    for image in np.clip(np.rint(pixels), 0, 255).astype(np.uint8):
        buffer = io.BytesIO()
        PIL.Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
        encoded.append(buffer.getvalue())
    return encoded


def image_column(frame: pd.DataFrame) -> Any:
    """Return the name of the only column of encoded images or their paths; ``None`` where there is not one."""
    names = [name for name in frame.columns if is_image(_first_present(frame[name]))]
    return names[0] if len(names) == 1 else None


def _first_present(column: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return None
    index = column.first_valid_index()
    return None if index is None else column.iloc[column.index.get_loc(index)]


def find_images(folder: Path) -> tuple[list[Path], list[str], tuple[str, ...]]:
    """Return the images in the subfolders of a folder, the class of each (its subfolder), and all classes.

    Classes, and the images within each, are in the order of their names. Subfolders may have subfolders.

    Raises:
        DataError: there is no folder, no subfolder, or none of them holds an image.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    classes = sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    images = {name: _images_in(folder / name) for name in classes}
    if not any(images.values()):
        raise DataError(
            f"{folder} holds no images in subfolders; one subfolder per class is needed, "
            f"with {', '.join(SUFFIXES)} files"
        )
    filled = tuple(name for name in classes if images[name])
    return [path for name in filled for path in images[name]], [name for name in filled for _ in images[name]], filled


def _images_in(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
