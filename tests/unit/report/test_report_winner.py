"""The lines of Python to paste: valid for every way to name a model."""

import ast
import inspect
from dataclasses import replace

import pytest

from placenorm.facts.comparison import Comparison
from placenorm.lookup import load_object
from placenorm.report.winner import python_lines
from support.comparisons import make_comparison, make_regression, make_unfinished, make_variant

MODELS = {
    "built in": "cnn",
    "built in with depth": "cnn:12",
    "mlp": "mlp:4",
    "file": "examples/my_net.py:Net",
    "file here": "net.py:Net",
    "file with quotes": 'my "odd"\\net.py:Net',
    "module": "my_package.models:make_net",
    "function handed over": "<function make_net at 0x1>\nimport os",
    "hostile": '");__import__("os").system("true")#:Net',
}


def make_pick(name: str, **more: object) -> Comparison:
    others = [make_variant(name)] if name != "none" else []
    comparison = make_comparison(variants=[make_variant("none", baseline=True), *others], seeds=3)
    assert comparison.verdict is not None
    settings = replace(comparison.settings, **more)  # type: ignore[arg-type]
    return replace(comparison, settings=settings, verdict=replace(comparison.verdict, pick=name))


@pytest.mark.parametrize("weights", [None, 'my "weights".pt'], ids=["fresh", "checkpoint"])
@pytest.mark.parametrize("name", ["after-pool", "none", "placement.json"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_winner_lines_compile(model: str, name: str, weights: str | None) -> None:
    text = python_lines(make_pick(name, model=model, weights=weights))
    compile(text, "winner", "exec")
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert "os" not in names
    assert "__import__" not in names
    assert ("load_weights" in names) == (weights is not None)


def test_winner_of_a_built_in_network_reads_so() -> None:
    text = python_lines(make_pick("after-pool", model="cnn:8"))
    assert text == (
        "import torch\n"
        "\n"
        "import placenorm as pn\n"
        "from placenorm.zoo import find_model\n"
        "\n"
        'make_model = find_model("cnn:8", sample_shape=(1, 8, 8), outputs=10)\n'
        "model = make_model()\n"
        "example_inputs = torch.zeros(2, 1, 8, 8)\n"
        'done = pn.place(model, example_inputs, "after-pool")\n'
        "model = done.model"
    )


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18.a1_in1k"], ids=["torchvision", "timm"])
def test_winner_of_a_library_is_built_by_its_name(name: str) -> None:
    lines = python_lines(make_pick("after-pool", model=name, weights="net.pt")).splitlines()
    assert "from placenorm.zoo import find_model, load_weights" in lines
    assert f'make_model = find_model("{name}", sample_shape=(1, 8, 8), outputs=10)' in lines
    assert not any(line.startswith(("from torchvision", "from timm", "import timm")) for line in lines)


def test_winner_of_a_file_is_loaded_by_its_path() -> None:
    lines = python_lines(make_pick("after-pool", model="examples/my_net.py:Net", weights="net.pt")).splitlines()
    assert "from placenorm.lookup import load_object" in lines
    assert lines[lines.index('Net = load_object("examples/my_net.py:Net")') :][:3] == [
        'Net = load_object("examples/my_net.py:Net")',
        "model = Net()",
        'load_weights(model, "net.pt")',
    ]


def test_winner_of_a_file_without_a_folder_is_no_module() -> None:
    text = python_lines(make_pick("after-pool", model="net.py:Net"))
    assert 'Net = load_object("net.py:Net")' in text
    assert "import Net" not in text


def test_winner_of_a_module_is_imported() -> None:
    lines = python_lines(make_pick("after-pool", model="my_package.models:make_net")).splitlines()
    assert "from my_package.models import make_net" in lines
    assert "model = make_net()" in lines


def test_winner_that_changes_nothing_needs_no_placing() -> None:
    text = python_lines(make_pick("as-is", model="my_package.models:make_net"))
    assert "place(" not in text
    assert "torch" not in text
    assert text.endswith("# as-is: the model stays as it is")


def test_winner_with_our_norms_says_so() -> None:
    assert 'pn.place(model, example_inputs, "after-pool", norm="placenorm")' in python_lines(
        make_pick("after-pool", norm="placenorm")
    )


def test_winner_that_is_no_policy_is_written_as_its_mapping() -> None:
    comparison = make_pick("placement.json")
    tree = ast.parse(python_lines(comparison))
    mapping = next(node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    assert ast.literal_eval(mapping) == comparison.variants[1].placement


@pytest.mark.parametrize(
    ("comparison", "shape", "outputs"),
    [
        pytest.param(make_regression(), "(1, 8, 8)", 10, id="regression, outputs from the graph"),
        pytest.param(make_comparison(data=None), "(1, 8, 8)", 10, id="own data, shape from the graph"),
    ],
)
def test_winner_finds_shapes_where_the_data_do_not_tell(comparison: Comparison, shape: str, outputs: int) -> None:
    assert f"sample_shape={shape}, outputs={outputs})" in python_lines(comparison)


def test_winner_lines_use_names_that_exist() -> None:
    from placenorm.zoo import find_model, load_weights

    assert list(inspect.signature(find_model).parameters) == ["name", "sample_shape", "outputs"]
    assert list(inspect.signature(load_weights).parameters) == ["model", "path"]
    assert next(iter(inspect.signature(load_object).parameters)) == "reference"


def test_winner_needs_a_verdict() -> None:
    with pytest.raises(ValueError, match="no verdict"):
        python_lines(make_unfinished())
