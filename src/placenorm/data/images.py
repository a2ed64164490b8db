"""Images from a folder with one sub-folder a class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from placenorm.data.arrays import Arrays
from placenorm.data.seeding import Stream, make_generator, order_stratified
from placenorm.errors import DataError

_MIN_CLASSES = 2
_GREY_MODES = {"1", "L", "LA"}
_DEEP_GREY_MODES = {"I", "F", "I;16", "I;16B", "I;16L"}  # more than 8 bits a pixel


def read_folder(path: Path, limit: int | None) -> Arrays:
    """Return the images of a folder: grey or RGB as the first image is, and of the first image's size.

    Classes are numbered in the order of the sub-folders' names. Files and folders whose name starts with a dot, and
    files whose suffix is no image format, are left out.

    Args:
        path: the folder; each sub-folder is a class.
        limit: read at most so many images, a stratified choice; None for all.

    Returns:
        Images ``[N, C, H, W]`` with C = 1 or 3, labels, and a note where images were resized or recoloured.

    Raises:
        DataError: if the folder is missing or empty, has fewer than two classes, or an image cannot be read.
    """
    if not path.is_dir():
        raise DataError(f"Cannot load folder:{path}: there is no such folder; check the path.")
    folders = sorted(each for each in _list(path) if each.is_dir())
    if len(folders) < _MIN_CLASSES:
        found = f"only one sub-folder, {folders[0].name}" if folders else "no sub-folder"
        raise DataError(
            f"Cannot load folder:{path}: it has {found}, but each class is a sub-folder of images and at least "
            f"{_MIN_CLASSES} are needed; arrange the images as {path}/CLASS/IMAGE."
        )
    suffixes = Image.registered_extensions()
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        images = sorted(each for each in _list(folder) if each.suffix.lower() in suffixes and each.is_file())
        if not images:
            raise DataError(
                f"Cannot load folder:{path}: its sub-folder {folder.name} holds no image; add images to that class, "
                f"remove it, or name the folder whose sub-folders are the classes (such as {folder})."
            )
        files += images
        labels += [label] * len(images)
    chosen = np.arange(len(files))
    if limit is not None and limit < len(files):
        generator = make_generator(Stream.LIMIT)
        chosen = order_stratified(torch.tensor(labels), len(files), generator)[:limit].sort().values.numpy()
    arrays = _read_images([files[index] for index in chosen], np.array(labels)[chosen], first=files[0])
    return replace(arrays, classes=len(folders))  # a small limit may leave a class out


def _list(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if not each.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"Cannot list the folder {folder}: {type(error).__name__}; make it readable or leave it out."
        ) from error


def _read_images(files: list[Path], labels: npt.NDArray[np.int64], first: Path) -> Arrays:
    example = _open(first)
    width, height = example.size
    grey = example.mode in _GREY_MODES | _DEEP_GREY_MODES
    dtype = np.float32 if example.mode in _DEEP_GREY_MODES else np.uint8
    mode = "RGB" if not grey else "L" if dtype is np.uint8 else "F"
    x = np.empty((len(files), 1 if grey else 3, height, width), dtype)
    resized = recoloured = 0
    for row, file in zip(x, files, strict=True):
        image = _open(file)
        resized += image.size != (width, height)
        recoloured += (image.mode in _GREY_MODES | _DEEP_GREY_MODES) != grey
        pixels = np.asarray(image.convert(mode).resize((width, height), Image.Resampling.BILINEAR))
        row[...] = pixels if grey else pixels.transpose(2, 0, 1)
    notes = []
    if resized:
        notes.append(f"{resized} of {len(files)} images were resized to {width}x{height}, the size of {first}.")
    if recoloured:
        notes.append(f"{recoloured} of {len(files)} images were made {'grey' if grey else 'RGB'}, as {first} is.")
    return Arrays(x, labels, notes=tuple(notes))


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:  # leaving it closes the file; the pixels stay
            image.load()
            return image
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"Cannot read the image {file}: it is damaged or no image ({type(error).__name__}); replace or remove it."
        ) from error
