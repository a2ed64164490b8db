"""Data as arrays in memory: what the built-in readers give, and the readers of digits and npz files."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from placenorm.errors import DataError

Array = npt.NDArray[Any]

_IMAGE_AXES = 3  # [C, H, W]
_COLOURS = (1, 3, 4)  # grey, RGB, RGBA


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Samples as they were stored, before any conversion.

    Attributes:
        x: inputs, ``[N, ...]``, any real dtype.
        y: labels ``[N]`` (whole numbers) or values to predict ``[N]`` or ``[N, K]`` (floats).
        x_test: inputs of the fixed test set; None without one.
        y_test: its targets.
        classes: number of classes where it is known without the labels; None to count them.
        notes: what a reader of the results must know about how the data were read.
    """

    x: Array
    y: Array
    x_test: Array | None = None
    y_test: Array | None = None
    classes: int | None = None
    notes: tuple[str, ...] = ()

    def select(self, train: Array | None, test: Array | None) -> "Arrays":
        """Return the training and test samples of some indices; None for all of them."""
        chosen = self
        if train is not None:
            chosen = replace(chosen, x=self.x[train], y=self.y[train])
        if test is not None and self.x_test is not None and self.y_test is not None:
            chosen = replace(chosen, x_test=self.x_test[test], y_test=self.y_test[test])
        return chosen

    def fingerprint(self) -> str:
        """Return the SHA-256 over shapes, dtypes and bytes."""
        digest = hashlib.sha256()
        for array in (self.x, self.y, self.x_test, self.y_test):
            if array is None:
                digest.update(b"none")
                continue
            digest.update(f"{array.shape}{array.dtype.str}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def read_digits() -> Arrays:
    """Return the 1,797 digits that come with scikit-learn: images ``[1, 8, 8]`` from 0 to 16, ten classes, no split."""
    from sklearn.datasets import load_digits  # takes a second: only who wants digits waits for it

    bunch = load_digits()
    return Arrays(x=bunch.images[:, None].astype(np.float32), y=bunch.target.astype(np.int64))


def read_npz(path: Path) -> Arrays:
    """Return the arrays ``x``, ``y`` and, where they exist, ``x_test``, ``y_test`` of an npz file.

    Raises:
        DataError: if the file is missing, damaged or holds pickled objects, if an array is missing,
            or if types or lengths do not go together.
    """
    if not path.is_file():
        raise DataError(f"Cannot load npz:{path}: there is no such file; check the path.")
    found, names = _read_arrays(path)
    missing = [name for name in ("x", "y") if name not in found]
    if ("x_test" in found) != ("y_test" in found):
        missing.append("y_test" if "x_test" in found else "x_test")
    if missing:
        held = f"it holds {', '.join(names)}" if names else "it holds no array"
        raise DataError(
            f"Cannot load npz:{path}: it has no array {' and no array '.join(missing)} ({held}); save it with "
            "np.savez(path, x=..., y=...), and x_test and y_test together if you have a test set."
        )
    arrays = Arrays(
        found["x"], found["y"], found.get("x_test"), found.get("y_test"), notes=_note_axes(found["x"].shape[1:])
    )
    _check_pair(arrays.x, arrays.y, "", path)
    if arrays.x_test is not None and arrays.y_test is not None:
        _check_pair(arrays.x_test, arrays.y_test, "_test", path)
        same_samples = arrays.x.shape[1:] == arrays.x_test.shape[1:]
        same_targets = arrays.y.shape[1:] == arrays.y_test.shape[1:] and _is_float(arrays.y) == _is_float(arrays.y_test)
        if not same_samples or not same_targets:
            raise DataError(
                f"Cannot load npz:{path}: x_test {_describe(arrays.x_test)} and y_test {_describe(arrays.y_test)} are "
                f"not like x {_describe(arrays.x)} and y {_describe(arrays.y)}; store both parts in the same way."
            )
    return arrays


def _read_arrays(path: Path) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays that are data, and the names of all."""
    try:
        with path.open("rb") as file:  # given a path, np.load leaves a broken file open
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(
                    f"Cannot load npz:{path}: it holds a single array; save x and y with np.savez(path, x=..., y=...)."
                )
            known = [name for name in ("x", "y", "x_test", "y_test") if name in loaded.files]
            return {name: np.asarray(loaded[name]) for name in known}, list(loaded.files)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        if isinstance(error, ValueError) and "Object arrays" in str(error):
            why = "it holds pickled objects, which are not read because they can run code"
        else:
            why = f"it is damaged, not readable or no npz file ({type(error).__name__})"
        raise DataError(
            f"Cannot load npz:{path}: {why}; save plain number arrays with np.savez(path, x=..., y=...)."
        ) from error


def _check_pair(x: Array, y: Array, suffix: str, path: Path) -> None:
    if x.dtype.kind not in "buif" or x.ndim < 2 or 0 in x.shape[1:]:  # a sample is an array
        wanted = "real numbers of shape [N, D] or [N, C, H, W]"
        raise DataError(f"Cannot load npz:{path}: x{suffix} is {_describe(x)}; store {wanted}.")
    if not (y.dtype.kind in "bui" and y.ndim == 1) and not (y.dtype.kind == "f" and y.ndim in {1, 2}):
        wanted = "whole-number class labels [N], or floats [N] or [N, K] to predict"
        raise DataError(f"Cannot load npz:{path}: y{suffix} is {_describe(y)}; store {wanted}.")
    if len(x) != len(y):
        raise DataError(
            f"Cannot load npz:{path}: x{suffix} has {len(x)} samples and y{suffix} has {len(y)}; "
            "store one target for each sample."
        )


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f"


def _describe(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _note_axes(sample_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return a note where the channels seem to come last: such data run, but as another network than was meant."""
    if len(sample_shape) != _IMAGE_AXES or sample_shape[-1] not in _COLOURS or sample_shape[0] in _COLOURS:
        return ()
    return (
        f"samples of shape {list(sample_shape)} were read as [C, H, W]; "
        "if the last axis holds the channels, store x.transpose(0, 3, 1, 2).",
    )
