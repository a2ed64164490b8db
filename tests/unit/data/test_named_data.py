"""Built-in data by name: digits, fashion-mnist from IDX files, npz files; the limit; what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from placenorm.data import describe, fetch, load_data, split
from placenorm.data.idx import DEBIAN_FOLDER, FILES
from placenorm.errors import DataError, UsageError
from placenorm.facts.comparison import DataFacts


def assert_refused(name: str, words: list[str], **options: object) -> None:
    """Hold a refusal to its words, and to one line."""
    with pytest.raises(DataError) as caught:
        load_data(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert word in message


# --- digits


def test_digits_are_images_of_ten_classes_without_test_set():
    source = load_data("digits")
    assert (source.task, source.classes, source.outputs) == ("classification", 10, 10)
    assert (source.sample_shape, source.test, source.notes) == ((1, 8, 8), None, ())
    assert describe(source, split(source, 0)) == DataFacts(
        name="digits",
        train=1079,
        validation=359,
        test=359,
        sample_shape=(1, 8, 8),
        classes=10,
        fixed_test=False,
        fingerprint=source.fingerprint,
    )


def test_same_data_have_the_same_fingerprint():
    assert load_data("digits").fingerprint == load_data("digits").fingerprint
    assert load_data("digits", limit=100).fingerprint != load_data("digits").fingerprint


def test_limit_is_stratified_and_repeats():
    first, second = load_data("digits", limit=100), load_data("digits", limit=100)
    x, y = fetch(first.train, range(100))
    assert len(first.train) == 100
    assert torch.equal(x, fetch(second.train, range(100))[0])
    assert set(y.bincount().tolist()) <= {9, 10, 11}  # 178 of 1,797 images a class


def test_limit_above_the_number_of_samples_takes_all():
    assert len(load_data("digits", limit=10**6).train) == 1797


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("digit", ["No data are called 'digit'", "did you mean digits", "npz:PATH"], id="close"),
        pytest.param("xyz", ["No data are called 'xyz'", "folder:PATH"], id="far"),
        pytest.param("folder:", ["no path", "folder:PATH"], id="folder-without-path"),
        pytest.param("npz", ["no path", "npz:PATH"], id="npz-without-path"),
    ],
)
def test_unknown_data_are_refused(name, words):
    assert_refused(name, words)


def test_limit_that_is_too_small_is_refused():
    with pytest.raises(UsageError, match="limit of 0"):
        load_data("digits", limit=0)
    assert_refused("digits", ["digits", "4 training samples", "at least 5", "raise the limit"], limit=4)


# --- fashion-mnist


def encode_idx(array: np.ndarray) -> bytes:
    """Return the bytes of a gzipped IDX file."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """A folder with tiny files in fashion-mnist's format: 20 and 10 images of 4x4, two classes."""
    rng = np.random.default_rng(0)
    for name, count in zip(FILES, (20, 20, 10, 10), strict=True):
        labels = np.arange(count) % 2
        array = labels if "labels" in name else rng.integers(0, 256, (count, 4, 4))
        (tmp_path / name).write_bytes(encode_idx(array))
    return tmp_path


def test_fashion_mnist_is_read_with_its_test_set(fashion):
    source = load_data("fashion-mnist", data_dir=fashion)
    assert (source.sample_shape, source.classes) == ((1, 4, 4), 2)
    x, y = fetch(source.train, range(20))
    expected = np.random.default_rng(0).integers(0, 256, (20, 4, 4))
    np.testing.assert_array_equal(x.numpy()[:, 0], expected)
    assert y.tolist() == [0, 1] * 10
    facts = describe(source, split(source, 0))
    assert (facts.train, facts.validation, facts.test, facts.fixed_test) == (16, 4, 10, True)


def test_limit_holds_for_training_and_test_samples_each(fashion):
    source = load_data("fashion-mnist", data_dir=fashion, limit=8)
    assert (len(source.train), len(source.test)) == (8, 8)


def test_missing_fashion_mnist_says_which_files_where_and_whence(fashion):
    (fashion / FILES[2]).unlink()
    words = [FILES[2], str(fashion), "--data-dir", "dataset-fashion-mnist"]
    assert_refused("fashion-mnist", words, data_dir=fashion)
    assert_refused("fashion-mnist", [*FILES, "no-such-folder"], data_dir=fashion / "no-such-folder")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        pytest.param(FILES[0], b"hello", ["damaged", "get it anew"], id="no-gzip"),
        pytest.param(FILES[0], encode_idx(np.zeros((20, 4, 4)))[:-12], ["cut short", "get it anew"], id="cut-gzip"),
        pytest.param(FILES[0], b"", ["damaged", "get it anew"], id="empty"),
        pytest.param(FILES[0], gzip.compress(b"hello"), ["no IDX file", "3 axes"], id="no-idx"),
        pytest.param(FILES[0], encode_idx(np.zeros(20)), ["no IDX file", "3 axes"], id="labels-as-images"),
        pytest.param(
            FILES[1],
            gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 20)) + bytes(7)),
            ["promises 20 values and 7 follow"],
            id="cut-idx",
        ),
        pytest.param(FILES[1], encode_idx(np.zeros(19)), ["20 images for 19 labels"], id="lengths-differ"),
        pytest.param(FILES[2], encode_idx(np.zeros((10, 5, 4))), ["[4, 4]", "[5, 4]"], id="sizes-differ"),
    ],
)
def test_damaged_fashion_mnist_is_refused(fashion, file, content, words):
    (fashion / file).write_bytes(content)
    assert_refused("fashion-mnist", [str(fashion), *words], data_dir=fashion)


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist_has_its_published_sizes():
    source = load_data("fashion-mnist")
    parts = split(source, 0)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [50_000, 10_000, 10_000]
    assert (source.sample_shape, source.classes) == ((1, 28, 28), 10)


# --- npz


def save(path: Path, **arrays: object) -> str:
    np.savez(path / "data.npz", **arrays)
    return f"npz:{path / 'data.npz'}"


def features(count: int = 20, size: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, size))


LABELS = np.arange(20) % 2


def test_npz_with_whole_numbers_is_classification(tmp_path):
    source = load_data(save(tmp_path, x=features(), y=LABELS.astype(np.uint8)))
    assert (source.task, source.classes, source.outputs, source.sample_shape) == ("classification", 2, 2, (3,))
    x, y = fetch(source.train, [0])
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(
    ("y", "outputs"),
    [pytest.param(features(20, 1)[:, 0], 1, id="one-value"), pytest.param(features(20, 2), 2, id="two-values")],
)
def test_npz_with_floats_is_regression(tmp_path, y, outputs):
    source = load_data(save(tmp_path, x=features(), y=y))
    assert (source.task, source.classes, source.outputs) == ("regression", None, outputs)
    _, targets = fetch(source.train, range(20))
    torch.testing.assert_close(targets, torch.tensor(y, dtype=torch.float32), rtol=0, atol=0)


def test_npz_with_test_arrays_has_a_fixed_test_set(tmp_path):
    name = save(tmp_path, x=features(), y=LABELS, x_test=features(7), y_test=LABELS[:7].astype(np.uint8))
    source = load_data(name)
    assert len(source.test) == 7
    assert len(split(source, 0).test) == 7


def test_npz_path_may_start_at_home(tmp_path, monkeypatch):
    save(tmp_path, x=features(), y=LABELS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_data("npz:~/data.npz").train) == 20


def test_channels_last_images_are_read_and_remarked(tmp_path):
    source = load_data(save(tmp_path, x=np.zeros((20, 8, 8, 3)), y=LABELS))
    assert source.sample_shape == (8, 8, 3)
    assert "x.transpose(0, 3, 1, 2)" in source.notes[0]


BAD = features()
BAD[7, 1] = np.nan
HUGE = features() * 1e300


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param({"x": features()}, ["no array y", "it holds x", "np.savez"], id="no-y"),
        pytest.param({"a": features()}, ["no array x and no array y"], id="no-x-no-y"),
        pytest.param({"x": features(), "y": LABELS, "x_test": features()}, ["no array y_test"], id="no-y-test"),
        pytest.param({"x": features(), "y": LABELS[:19]}, ["x has 20 samples and y has 19"], id="lengths"),
        pytest.param({"x": LABELS, "y": LABELS}, ["x is int64 [20]", "[N, D]"], id="x-without-features"),
        pytest.param({"x": features(20, 0), "y": LABELS}, ["x is float64 [20, 0]"], id="no-features"),
        pytest.param({"x": features() * 1j, "y": LABELS}, ["x is complex128", "real numbers"], id="complex"),
        pytest.param({"x": features(), "y": np.array(["a"] * 20)}, ["y is <U1", "class labels"], id="text-labels"),
        pytest.param({"x": features(), "y": LABELS[:, None]}, ["y is int64 [20, 1]", "labels [N]"], id="label-rows"),
        pytest.param({"x": np.array([{}] * 20), "y": LABELS}, ["pickled objects", "np.savez"], id="pickled"),
        pytest.param({"x": BAD, "y": LABELS}, ["x of npz:", "1 of its values", "sample 7", "NaN"], id="nan-x"),
        pytest.param({"x": HUGE, "y": LABELS}, ["too large for float32"], id="overflow-x"),
        pytest.param({"x": features(), "y": BAD[:, 1]}, ["y of npz:", "sample 7"], id="nan-y"),
        pytest.param(
            {"x": features(), "y": LABELS, "x_test": BAD, "y_test": LABELS},
            ["x_test of npz:", "sample 7"],
            id="nan-test",
        ),
        pytest.param(
            {"x": features(), "y": LABELS - 1}, ["2 different numbers from -1 to 0", "0 to K-1"], id="negative"
        ),
        pytest.param({"x": features(), "y": LABELS + 1}, ["from 1 to 2", "0 to K-1"], id="from-one"),
        pytest.param({"x": features(), "y": LABELS * 9}, ["from 0 to 9", "as floats"], id="gap"),
        pytest.param({"x": features(), "y": LABELS * 0}, ["of one class"], id="one-class"),
        pytest.param({"x": features(0), "y": LABELS[:0]}, ["no sample"], id="no-samples"),
        pytest.param({"x": features(4), "y": LABELS[:4]}, ["4 training samples", "at least 5"], id="too-few"),
        pytest.param(
            {"x": features(), "y": LABELS, "x_test": features(0), "y_test": LABELS[:0]},
            ["test set is empty"],
            id="no-test",
        ),
        pytest.param(
            {"x": features(), "y": LABELS, "x_test": features(20, 4), "y_test": LABELS},
            ["x_test float64 [20, 4]", "not like x float64 [20, 3]"],
            id="other-test-shape",
        ),
        pytest.param(
            {"x": features(), "y": LABELS, "x_test": features(), "y_test": LABELS * 1.0}, ["not like"], id="other-task"
        ),
    ],
)
def test_unfit_npz_is_refused(tmp_path, arrays, words):
    assert_refused(save(tmp_path, **arrays), ["data.npz", *words])


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 hello"], ids=["empty", "text", "broken-zip"])
def test_corrupt_npz_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    assert_refused(f"npz:{tmp_path}/data.npz", ["data.npz", "damaged, not readable or no npz file", "np.savez"])


def test_truncated_and_flipped_npz_are_refused(tmp_path):
    name = save(tmp_path, x=features(), y=LABELS)
    file = tmp_path / "data.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert_refused(name, ["damaged"])
    file.write_bytes(whole[:300] + bytes([whole[300] ^ 255]) + whole[301:])
    assert_refused(name, ["damaged"])


def test_npy_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", features())
    assert_refused(f"npz:{tmp_path}/x.npy", ["single array", "np.savez"])


def test_missing_npz_is_refused(tmp_path):
    assert_refused(f"npz:{tmp_path}/gone.npz", ["gone.npz", "no such file"])
