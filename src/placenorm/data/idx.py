"""fashion-mnist from its four IDX files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from placenorm.data.arrays import Arrays
from placenorm.errors import DataError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

_MAGIC_BYTES = 4  # two zeros, the type of the elements, the number of axes
_SIZE_BYTES = 4  # one axis' length, big-endian
_UNSIGNED_BYTE = 8  # the type that these four files have


def read_fashion_mnist(data_dir: Path | None) -> Arrays:
    """Return the images ``[N, 1, H, W]`` (uint8) and labels of fashion-mnist, with its fixed test set.

    Args:
        data_dir: folder of the four files; None for the one of Debian's package.

    Raises:
        DataError: if a file is missing or damaged, or if images and labels differ in number.

    Source:
        Xiao et al. 2017, arXiv:1708.07747; the IDX format: yann.lecun.com/exdb/mnist.
    """
    folder = DEBIAN_FOLDER if data_dir is None else data_dir.expanduser()
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"Cannot load fashion-mnist: {folder} has no {', '.join(missing)}; name the folder that holds the four "
            "files with --data-dir, or install Debian's package dataset-fashion-mnist, which puts them in "
            f"{DEBIAN_FOLDER}."
        )
    x, y, x_test, y_test = (read_idx(folder / name, axes) for name, axes in zip(FILES, (3, 1, 3, 1), strict=True))
    for images, labels, name in ((x, y, FILES[0]), (x_test, y_test, FILES[2])):
        if len(images) != len(labels):
            raise DataError(
                f"Cannot load fashion-mnist: {folder / name} has {len(images)} images for {len(labels)} labels; "
                "get the four files anew, all from one place."
            )
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"Cannot load fashion-mnist: the images of {folder} are {list(x.shape[1:])} for training and "
            f"{list(x_test.shape[1:])} for testing; get the four files anew, all from one place."
        )
    return Arrays(x[:, None], y, x_test[:, None], y_test)


def read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of unsigned bytes.

    Args:
        path: the file.
        axes: how many axes it must have.

    Raises:
        DataError: if it cannot be read, is cut short or is no such file.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"Cannot read {path}: it is damaged, cut short or not readable ({type(error).__name__}); get it anew."
        ) from error
    start = _MAGIC_BYTES + axes * _SIZE_BYTES
    if len(content) < start or content[:_MAGIC_BYTES] != bytes((0, 0, _UNSIGNED_BYTE, axes)):
        raise DataError(f"Cannot read {path}: it is no IDX file of unsigned bytes with {axes} axes; get it anew.")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=axes, offset=_MAGIC_BYTES))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"Cannot read {path}: its header promises {math.prod(shape)} values and {len(content) - start} follow; "
            "get it anew."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
