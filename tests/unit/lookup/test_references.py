"""Objects by reference: files, modules, and what is said when there are none."""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from placenorm.errors import UsageError
from placenorm.lookup import hash_sources, load_object, source_file


@pytest.fixture(autouse=True)
def _forget_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading adds folders and modules; the next test must not see them."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_load_object_finds_name_in_nested_folder(tmp_path):
    file = write(tmp_path / "a" / "b" / "net.py", "class Net:\n    width = 3\n")
    assert load_object(f"{file}:Net").width == 3


def test_load_object_takes_path_relative_to_working_directory(tmp_path, monkeypatch):
    write(tmp_path / "net.py", "WIDTH = 3\n")
    monkeypatch.chdir(tmp_path)
    assert load_object("net.py:WIDTH") == 3


def test_load_object_imports_files_beside_at_once_and_later(tmp_path):
    write(tmp_path / "beside_now_pn.py", "WIDTH = 3\n")
    write(tmp_path / "beside_later_pn.py", "WIDTH = 4\n")
    text = "from beside_now_pn import WIDTH\ndef late():\n    from beside_later_pn import WIDTH\n    return WIDTH\n"
    file = write(tmp_path / "net.py", text)
    assert load_object(f"{file}:WIDTH") == 3
    assert load_object(f"{file}:late")() == 4


def test_load_object_leaves_its_folder_last_on_the_path(tmp_path):
    file = write(tmp_path / "net.py", "import sys\nFIRST = sys.path[0]\n")
    assert load_object(f"{file}:FIRST") == str(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_load_object_loads_one_file_once(tmp_path, monkeypatch):
    file = write(tmp_path / "net.py", "class Net: pass\n")
    monkeypatch.chdir(tmp_path)
    assert load_object(f"{file}:Net") is load_object("net.py:Net")


def test_load_object_tells_files_of_one_name_apart(tmp_path):
    first = write(tmp_path / "a" / "net.py", "NAME = 'a'\n")
    second = write(tmp_path / "b" / "net.py", "NAME = 'b'\n")
    assert (load_object(f"{first}:NAME"), load_object(f"{second}:NAME")) == ("a", "b")


def test_load_object_does_not_collide_with_installed_module(tmp_path):
    import json

    file = write(tmp_path / "json.py", "NAME = 'mine'\n")
    assert load_object(f"{file}:NAME") == "mine"
    assert sys.modules["json"] is json


def test_loaded_class_can_be_pickled(tmp_path):
    file = write(tmp_path / "net.py", "class Net:\n    pass\n")
    net = load_object(f"{file}:Net")
    assert type(pickle.loads(pickle.dumps(net()))) is net


def test_loading_draws_the_same_numbers_everywhere_and_gives_the_random_states_back(tmp_path):
    text = "import random, numpy, torch\nDRAWN = random.random(), numpy.random.rand(), torch.rand(()).item()\n"
    drawn = []
    for seed in (1, 2):
        file = write(tmp_path / f"net{seed}.py", text)
        torch.manual_seed(seed)
        expected = torch.rand(())
        torch.manual_seed(seed)
        drawn.append(load_object(f"{file}:DRAWN"))
        assert torch.rand(()) == expected
    assert drawn[0] == drawn[1]


def test_load_object_finds_name_in_installed_module():
    assert load_object("collections.abc:Mapping").__name__ == "Mapping"


def test_load_object_finds_module_in_working_directory(tmp_path, monkeypatch):
    write(tmp_path / "proj_pn" / "__init__.py", "")
    write(tmp_path / "proj_pn" / "nets.py", "WIDTH = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert load_object("proj_pn.nets:WIDTH") == 3


GOOD = "class Network: pass\ndef build(): pass\n"


@pytest.mark.parametrize(
    ("reference", "text", "words"),
    [
        pytest.param("net.py", GOOD, ["behind a colon", "net.py:Name"], id="no-colon-file"),
        pytest.param("network", GOOD, ["behind a colon", "package.module:name"], id="no-colon"),
        pytest.param("net.py:", GOOD, ["behind a colon", "net.py:Name"], id="no-name"),
        pytest.param("nett.py:Network", GOOD, ["no file", "nett.py", "did you mean net.py"], id="missing-file"),
        pytest.param("none/other.py:Network", GOOD, ["no file", "other.py", "check the path"], id="missing-folder"),
        pytest.param("net.py:Netwrk", GOOD, ["net.py has no 'Netwrk'", "did you mean Network"], id="close-name"),
        pytest.param("net.py:Xyz", GOOD, ["no 'Xyz'", "it defines Network, build"], id="far-name"),
        pytest.param("net.py:Xyz", "", ["no 'Xyz'", "no class and no function"], id="empty-file"),
        pytest.param("net.py:N", "a = 1\nimport gone_pn\n", ["line 2 of net.py", "gone_pn", "mend"], id="import-error"),
        pytest.param("net.py:N", "a = 1\nb = = 2\n", ["line 2 of net.py", "SyntaxError"], id="syntax-error"),
        pytest.param("net.py:N", "def f():\n  1 / 0\nf()\n", ["line 2 of net.py", "ZeroDivisionError"], id="own-error"),
        pytest.param("net.py:N", "import sys\nsys.exit('usage: x')\n", ["line 2", "SystemExit: usage"], id="exit"),
        pytest.param("gone_pn.nets:Net", GOOD, ["no module 'gone_pn'", "path/to/file.py"], id="missing-module"),
        pytest.param("json.gone:Net", GOOD, ["no module 'json.gone'"], id="missing-submodule"),
        pytest.param("json:load_", GOOD, ["no 'load_'", "did you mean load"], id="module-close-name"),
        pytest.param("9a b:Net", GOOD, ["no module name", "path/to/file.py:Name"], id="no-identifier"),
        pytest.param("broken_pn:Net", GOOD, ["line 1 of broken_pn.py", "gone_pn"], id="module-import-error"),
    ],
)
def test_load_object_refuses_with_one_sentence(tmp_path, monkeypatch, reference, text, words):
    write(tmp_path / "net.py", text)
    write(tmp_path / "broken_pn.py", "import gone_pn\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        load_object(reference, "model")
    message = str(caught.value)
    assert message.startswith(f"Cannot load the model {reference!r}: ")
    assert message.count("\n") == 0
    for word in words:
        assert word in message


def test_load_object_names_the_line_in_a_file_beside(tmp_path):
    write(tmp_path / "helper_pn.py", "\n\n1 / 0\n")
    file = write(tmp_path / "net.py", "import helper_pn\n")
    with pytest.raises(UsageError, match=r"line 3 of helper_pn\.py raises ZeroDivisionError"):
        load_object(f"{file}:Net")


def test_load_object_tries_again_after_the_file_was_mended(tmp_path):
    file = write(tmp_path / "net.py", "1 / 0\n")
    with pytest.raises(UsageError):
        load_object(f"{file}:WIDTH")
    write(file, "WIDTH = 31\n")  # another length: Python's cache of compiled files goes by size and time
    assert load_object(f"{file}:WIDTH") == 31


@pytest.mark.parametrize(
    "name", ["cnn", "cnn:8", "digits", "folder:some/path", "npz:data.npz", "gone.py:Net", "", ":"], ids=repr
)
def test_source_file_is_none_for_names_without_file(name):
    assert source_file(name) is None


def test_source_file_finds_files_and_modules(tmp_path):
    file = write(tmp_path / "net.py", GOOD)
    assert source_file(f"{file}:Network") == file.resolve()
    assert source_file("collections.abc:Mapping").name == "abc.py"


def test_hash_sources_follows_the_contents(tmp_path):
    first, second = write(tmp_path / "a.py", "A = 1\n"), write(tmp_path / "b.py", "B = 1\n")
    references = ["cnn", None, f"{first}:A", f"{second}:B"]
    before = hash_sources(references)
    assert len(before) == 64
    assert hash_sources(references) == before
    write(second, "B = 2\n")
    assert hash_sources(references) != before


def test_hash_sources_is_empty_without_files():
    assert hash_sources(["cnn:8", "digits", None]) == ""
