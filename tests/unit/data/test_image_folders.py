"""Images from folders."""

from pathlib import Path

import pytest
from PIL import Image

from placenorm.data import fetch, load_data
from placenorm.errors import DataError


def draw(file: Path, value: int, mode: str = "L", size: tuple[int, int] = (6, 4)) -> None:
    """Write an image of one colour, 6 wide and 4 high."""
    file.parent.mkdir(parents=True, exist_ok=True)
    colour = {"L": value, "I;16": value, "RGB": (value, 10, 20), "RGBA": (value, 10, 20, 255)}[mode]
    Image.new(mode, size, colour).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with five grey images each; the class shows in the grey."""
    for index in range(5):
        draw(tmp_path / "images" / "cats" / f"{index}.png", 10 + index)
        draw(tmp_path / "images" / "dogs" / f"{index}.PNG", 200 + index)
    return tmp_path / "images"


def test_sub_folders_are_classes_in_order_of_their_names(folder):
    source = load_data(f"folder:{folder}")
    x, y = fetch(source.train, range(10))
    assert (source.sample_shape, source.classes, source.test, source.notes) == ((1, 4, 6), 2, None, ())
    assert y.tolist() == [0] * 5 + [1] * 5
    assert x[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14, 200, 201, 202, 203, 204]


def test_colour_images_have_three_channels(tmp_path):
    for index in range(5):
        draw(tmp_path / "a" / f"{index}.png", index, "RGB")
        draw(tmp_path / "b" / f"{index}.png", index, "RGBA")
    source = load_data(f"folder:{tmp_path}")
    x, _ = fetch(source.train, [3, 8])
    assert x[:, :, 0, 0].tolist() == [[3, 10, 20], [3, 10, 20]]


def test_deep_grey_images_keep_their_range(tmp_path):
    for index in range(5):
        draw(tmp_path / "a" / f"{index}.png", 1000 + index, "I;16")
        draw(tmp_path / "b" / f"{index}.png", 40000, "I;16")
    x, _ = fetch(load_data(f"folder:{tmp_path}").train, [4, 9])
    assert x[:, 0, 0, 0].tolist() == [1004, 40000]


def test_images_are_brought_to_the_first_ones_size_and_colours_and_it_is_said(folder):
    draw(folder / "dogs" / "large.png", 200, size=(12, 8))
    draw(folder / "dogs" / "red.png", 200, "RGB")
    source = load_data(f"folder:{folder}")
    assert source.sample_shape == (1, 4, 6)
    resized, recoloured = source.notes
    assert resized.startswith("1 of 12 images were resized to 6x4")
    assert "0.png" in resized
    assert recoloured.startswith("1 of 12 images were made grey")


def test_other_files_are_left_out(folder):
    (folder / "cats" / "notes.txt").write_text("no image")
    (folder / ".cache").mkdir()
    draw(folder / "cats" / ".hidden.png", 1)
    (folder / "readme.md").write_text("no class")
    assert len(load_data(f"folder:{folder}").train) == 10


def test_limit_chooses_before_reading_and_keeps_the_classes(folder):
    source = load_data(f"folder:{folder}", limit=6)
    _, y = fetch(source.train, range(6))
    assert y.bincount().tolist() == [3, 3]
    assert source.classes == 2


def test_first_image_decides_even_if_the_limit_leaves_it_out(folder):
    draw(folder / "cats" / "0.png", 10, size=(3, 3))
    assert load_data(f"folder:{folder}", limit=5).sample_shape == (1, 3, 3)


def test_fingerprint_follows_the_pixels(folder):
    before = load_data(f"folder:{folder}").fingerprint
    draw(folder / "cats" / "0.png", 99)
    assert load_data(f"folder:{folder}").fingerprint != before


def empty_classes(folder: Path) -> None:
    for file in sorted(folder.rglob("*.*")):
        file.unlink()


def keep_one_class(folder: Path) -> None:
    for file in sorted((folder / "dogs").iterdir()):
        file.unlink()
    (folder / "dogs").rmdir()


def write_text_as_image(folder: Path) -> None:
    (folder / "cats" / "3.png").write_text("hello")


def cut_image(folder: Path) -> None:
    file = folder / "cats" / "3.png"
    file.write_bytes(file.read_bytes()[:45])  # ends within the pixels


def nest_deeper(folder: Path) -> None:
    for part in ("train", "test"):
        for index in range(3):
            draw(folder / "nested" / part / "cats" / f"{index}.png", 1)
    (folder / "cats").rename(folder / "nested" / "cats")
    (folder / "dogs").rename(folder / "nested" / "dogs")


@pytest.mark.parametrize(
    ("harm", "tail", "words"),
    [
        pytest.param(lambda _: None, "/gone", ["gone", "no such folder"], id="missing"),
        pytest.param(lambda _: None, "/cats", ["no sub-folder", "CLASS/IMAGE"], id="images-only"),
        pytest.param(keep_one_class, "", ["only one sub-folder, cats", "at least 2"], id="one-class"),
        pytest.param(empty_classes, "", ["cats holds no image"], id="empty-classes"),
        pytest.param(nest_deeper, "/nested", ["test holds no image", "sub-folders are the classes"], id="nested"),
        pytest.param(write_text_as_image, "", ["cats/3.png", "damaged or no image", "replace or remove"], id="text"),
        pytest.param(cut_image, "", ["cats/3.png", "damaged or no image"], id="cut"),
    ],
)
def test_unfit_folder_is_refused(folder, harm, tail, words):
    harm(folder)
    with pytest.raises(DataError) as caught:
        load_data(f"folder:{folder}{tail}")
    for word in words:
        assert word in str(caught.value)
