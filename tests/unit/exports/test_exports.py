"""A folded network in files: what is written, what it gives without us, and what is said where it cannot be."""

import builtins
import hashlib
import json
from importlib import util
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import ModelError, StoreError
from placenorm.exports import folder as export_folder
from placenorm.exports import onnx_models
from placenorm.exports.calls import make_calls
from placenorm.exports.fresh_process import run_program
from placenorm.exports.programs import list_freedoms, make_program
from placenorm.facts.codec import decode
from placenorm.facts.folding import Folding


def fill_norms(model: nn.Module) -> nn.Module:
    """Return a model in evaluation whose norms are as if they had learned."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(module.weight, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    return model.eval()


def make_bordered() -> nn.Module:
    """Return a network whose norms go into padding convs behind them."""
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    convs = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=2), nn.ConvTranspose2d(4, 3, 3)
    parts = convs[0], nn.ReLU(), norms[0], convs[1], nn.ReLU(), norms[1], convs[2]
    return fill_norms(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)))


class Attention(nn.Module):
    """A network that takes images of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.bn(self.conv(x)).flatten(1))


EXAMPLE = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(2))


def test_export_writes_four_files_that_give_what_the_network_gives(tmp_path: Path) -> None:
    model = make_bordered()
    folded = pn.fold(model, EXAMPLE)
    assert len(folded.bordered) == 2
    done = pn.export(folded, EXAMPLE, tmp_path / "out", name="mine")
    program, network, weights = done.files
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ("model.pt2", "model.onnx", "weights.safetensors", "fold.json")
    )
    for file in done.files:
        content = (tmp_path / "out" / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert file.note == ""
    for file in (program, network):
        assert (file.free, file.norms) == (("batch", "size"), 0)
        assert file.max_error is not None
        assert file.max_error < 1e-6
        assert len({shape.split("x", 1)[1] for shape in file.checked}) > 2
    session = onnxruntime.InferenceSession((tmp_path / "out" / "model.onnx").read_bytes())
    x = torch.randn(3, 2, 11, 14, generator=torch.Generator().manual_seed(3))
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-5, atol=1e-6, check_stride=False)
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node}
    assert str(Path(__file__).parents[3]).encode() not in (tmp_path / "out" / "model.onnx").read_bytes()
    state = load_file(tmp_path / "out" / "weights.safetensors")
    torch.testing.assert_close(state, dict(folded.model.state_dict()), rtol=0, atol=0)
    assert (weights.free, weights.norms) == ((), None)
    assert decode(Folding, json.loads((tmp_path / "out" / "fold.json").read_text()), "it") == done
    assert (done.model, done.dtype, done.norms, done.find_faults()) == ("mine", "float32", 2, ())
    assert set(done.versions) >= {"torch", "onnx", "placenorm"}


def test_program_runs_where_placenorm_cannot_be_imported_and_has_torch_ops_alone() -> None:
    folded = pn.fold(make_bordered(), EXAMPLE)
    calls = make_calls(folded.model, EXAMPLE)
    program = make_program(folded.model, calls, ("batch", "size"))
    assert (program.norms, program.foreign, program.refused) == (0, (), ())
    (found,) = run_program(program.save(), calls[1:2])
    torch.testing.assert_close(found, calls[1].given, rtol=1e-6, atol=1e-6)


def test_example_of_one_sample_is_widened_and_smaller_and_larger_ones_are_tried() -> None:
    calls = make_calls(make_bordered(), EXAMPLE)
    assert calls[0].shapes == "2x2x8x8"
    assert list_freedoms(calls) == (("batch", "size"), ("batch",), ())


def test_network_of_one_size_has_a_free_batch_alone() -> None:
    model = fill_norms(Attention())
    calls = make_calls(model, torch.randn(2, 2, 8, 8))
    assert list_freedoms(calls) == (("batch",), ())
    assert make_program(model, calls, ("batch",)).norms == 1


def test_network_that_makes_another_program_of_each_batch_is_held_to_it(tmp_path: Path) -> None:
    class Odd(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return super().forward(input) * (2.0 if len(input) == 2 else 1.0)

    model = fill_norms(Odd(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    calls = make_calls(model, torch.randn(2, 2, 4, 4))
    with pytest.raises(ModelError, match=r"^torch.export"):
        make_program(model, calls, ("batch",))
    assert make_program(model, calls, ()).free == ()


class Rewritten(nn.Module):
    """A network whose forward is made anew, with a functional norm, an optional argument and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.register_buffer("mean", torch.linspace(-1, 1, 4))
        self.register_buffer("var", torch.linspace(0.5, 2, 4))

    def forward(self, x: Tensor, scale: float = 2.0) -> dict[str, Tensor]:
        y = self.conv(x)
        z = nn.functional.batch_norm(y, self.mean, self.var)
        return {"z": z.relu() * scale, "mean": z.mean((2, 3))}


def test_forward_that_was_made_anew_is_exported_by_name() -> None:
    model = fill_norms(Rewritten())
    folded = pn.fold(model, {"x": torch.randn(2, 2, 8, 8)})
    assert [change.site for change in folded.changes] == [":batch_norm_1"]
    program = make_program(folded.model, make_calls(folded.model, {"x": torch.randn(2, 2, 8, 8)}), ("batch", "size"))
    assert (program.norms, program.foreign) == (0, ())


def test_missing_packages_are_named_and_the_other_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"onnxscript", "safetensors"}
    find = util.find_spec
    monkeypatch.setattr(onnx_models, "find_spec", lambda name: None if name in missing else find(name))
    (tmp_path / "model.onnx").write_bytes(b"older")
    model = fill_norms(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    done = pn.export(pn.fold(model, EXAMPLE), EXAMPLE, tmp_path)
    notes = {file.name: file.note for file in done.files}
    assert notes["model.pt2"] == ""
    assert notes["model.onnx"] == (
        f"it needs onnxscript: pip install 'placenorm[export]'; the model.onnx in {tmp_path} is an older one"
    )
    assert notes["weights.safetensors"] == "it needs safetensors: pip install 'placenorm[export]'"
    assert done.find_faults() == ("model.onnx", "weights.safetensors")
    assert (tmp_path / "model.onnx").read_bytes() == b"older"
    assert not (tmp_path / "weights.safetensors").exists()


def test_failing_export_says_why_and_loses_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such thing.\nmore")

    monkeypatch.setattr(torch.export, "export", fail)
    model = fill_norms(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    done = pn.export(pn.fold(model, EXAMPLE), EXAMPLE, tmp_path)
    assert [file.note for file in done.files] == [*["torch.export cannot do it: no such thing"] * 2, ""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold.json", "weights.safetensors"]


def test_file_that_gives_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_folder, "run_program", lambda _, calls: [(torch.zeros(1),) for _ in calls])
    monkeypatch.setattr(onnx_models, "find_spec", lambda _: None)
    model = fill_norms(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    done = pn.export(pn.fold(model, EXAMPLE), EXAMPLE, tmp_path)
    assert done.files[0].note == "its outputs differ from the network's by inf of the largest"
    assert not (tmp_path / "model.pt2").exists()


def test_folder_that_is_a_file_and_an_example_that_does_not_fit_are_one_sentence(tmp_path: Path) -> None:
    model = fill_norms(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    folded = pn.fold(model, EXAMPLE)
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match=r"^Cannot write to .*taken: File exists; give a folder that can be written"):
        pn.export(folded, EXAMPLE, tmp_path / "taken")
    with pytest.raises(
        ModelError, match=r"does not run on an input of shape \[1, 3, 8, 8\]: .*; give the example that"
    ):
        pn.export(folded, torch.zeros(1, 3, 8, 8), tmp_path)


def test_export_needs_no_package_of_onnx_to_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    model = fill_norms(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    assert pn.fold(model, EXAMPLE).skipped == ()
    assert make_program(model, make_calls(model, EXAMPLE), ()).norms == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.slow
def test_other_types_are_exported(tmp_path: Path, dtype: torch.dtype) -> None:
    folded = pn.fold(make_bordered(), EXAMPLE, dtype=dtype)
    assert {p.dtype for p in folded.model.parameters()} == {dtype}
    done = pn.export(folded, EXAMPLE, tmp_path)
    assert done.dtype == str(dtype).removeprefix("torch.")
    assert done.find_faults() == ()
    assert done.files[0].max_error is not None
    unable = {torch.bfloat16: "cannot be given bfloat16 from Python", torch.float64: "has no kernel for it here"}
    file = done.files[1]
    assert file.max_error is not None or f"it was not run: onnxruntime {unable[dtype]}" in file.note


@pytest.mark.slow
def test_resnet_is_exported_for_every_size(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model = fill_norms(torchvision.models.resnet18(num_classes=10))
    example = torch.randn(1, 3, 64, 64)
    folded = pn.fold(model, example, data=torch.randn(6, 3, 64, 64))
    assert folded.skipped == ()
    assert folded.agreement is not None
    done = pn.export(folded, example, tmp_path)
    assert [file.free for file in done.files] == [("batch", "size"), ("batch", "size"), ()]
    assert [file.norms for file in done.files] == [0, 0, None]
    assert done.find_faults() == ()
