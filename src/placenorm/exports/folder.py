"""The files of an export: each is whole and checked, or it is not written and says why."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from placenorm.errors import ModelError, first_line
from placenorm.exports.calls import SIZE, Call, make_calls
from placenorm.exports.fresh_process import run_program
from placenorm.exports.limits import check_error
from placenorm.exports.onnx_models import RUNNER, WRITERS, OnnxRunner, RunnerError, find_missing, make_onnx
from placenorm.exports.programs import Program, find_adaptive_pools, list_freedoms, make_program
from placenorm.facts.folding import ExportedFile
from placenorm.graph.tracing import ExampleInputs
from placenorm.report.files import replace_file
from placenorm.rewrite.proving import measure_error

PROGRAM: Final = "model.pt2"
ONNX: Final = "model.onnx"
WEIGHTS: Final = "weights.safetensors"

_PACKAGES: Final = ("placenorm", "torch", *WRITERS, RUNNER, "safetensors")


def write_files(model: nn.Module, example_inputs: ExampleInputs, out: Path) -> tuple[ExportedFile, ...]:
    """Write a model as ``model.pt2``, ``model.onnx`` and ``weights.safetensors``; return what became of each.

    Args:
        model: the model, in evaluation mode.
        example_inputs: what it is called with.
        out: the folder.

    Raises:
        ModelError: if the model does not run on the example.
        StoreError: if the folder cannot be written to.
    """
    calls = make_calls(model, example_inputs)
    programs = _Programs(model, calls)
    return (
        _write(out, PROGRAM, lambda: _make_program_file(programs)),
        _write(out, ONNX, lambda: _make_onnx_file(programs)),
        _write(out, WEIGHTS, lambda: _make_weights_file(model)),
    )


def list_versions() -> dict[str, str]:
    """Return the versions of what files are written with, as far as it is there."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class _Programs:
    """The programs of a model, made when they are asked for, from the one with the most freedom on.

    Args:
        model: the model.
        calls: the example and others.
    """

    def __init__(self, model: nn.Module, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._model = model
        self._made: dict[tuple[str, ...], Program | ModelError] = {}

    def find(self, use: Callable[[Program], "_Content"]) -> "_Content":
        """Return what is made of the first program that it can be made of; it says why less is free.

        Raises:
            ModelError: as the last one, if there is none.
        """
        failures: list[ModelError] = []
        for free in list_freedoms(self._calls):
            try:
                content, file = use(self._make(free))
            except ModelError as error:
                failures.append(error)
                continue
            held = "the size is" if free else "batch and size are"
            notes = [file.note] * bool(file.note) + [f"{held} the example's: {error}" for error in failures[-1:]]
            return content, replace(file, note="; ".join(notes))
        raise failures[-1]

    def _make(self, free: tuple[str, ...]) -> Program:
        if free not in self._made:
            try:
                self._made[free] = make_program(self._model, self._calls, free)
            except ModelError as error:
                self._made[free] = error
        made = self._made[free]
        if isinstance(made, ModelError):
            raise made
        return made


_Content = tuple[bytes, ExportedFile]
"""What a file holds, and what is to be said of it."""


def _write(out: Path, name: str, make: Callable[[], _Content]) -> ExportedFile:
    try:
        content, file = make()
    except ModelError as error:
        older = f"; the {name} in {out} is an older one" * (out / name).exists()
        return ExportedFile(name, None, None, note=f"{error}{older}")
    replace_file(out / name, content)
    return file


def _make_program_file(programs: _Programs) -> _Content:
    def use(program: Program) -> _Content:
        try:
            content = program.save()
        except Exception as error:  # of torch.export, which cannot write every value of a program
            raise ModelError(f"torch.export cannot write it: {first_line(error)}") from error
        worst = _compare(program.calls, run_program(content, program.calls))
        notes = [f"it refuses inputs of {'; '.join(call.shapes for call in program.refused)}"] * bool(program.refused)
        notes += [f"it loads where the ops of {', '.join(program.foreign)} are there"] * bool(program.foreign)
        return _describe(PROGRAM, content, program, program.norms, worst, program.calls, "; ".join(notes))

    return programs.find(use)


def _make_onnx_file(programs: _Programs) -> _Content:
    missing = find_missing(*WRITERS)
    if missing:
        raise ModelError(missing)

    def use(program: Program) -> _Content:
        content, norms = make_onnx(program)
        unchecked = find_missing(RUNNER)
        if any(x.dtype == torch.bfloat16 for call in program.calls for x in call.tensors):
            unchecked = "onnxruntime cannot be given bfloat16 from Python"
        try:
            runner = None if unchecked else OnnxRunner(content)
        except RunnerError as error:
            runner, unchecked = None, str(error)
        if runner is None:
            return _describe(ONNX, content, program, norms, None, (), f"it was not run: {unchecked}")
        try:
            found = {call: runner.run(call) for call in program.calls}
        except ModelError as error:
            pools = find_adaptive_pools(program) if SIZE in program.free else ()
            cause = f"torch.onnx writes an adaptive pool ({', '.join(pools)}) for one size only; " * bool(pools)
            raise ModelError(f"{cause}{error}") from error
        for call in program.refused:  # an ONNX model has no guards: it has to be right there, or to say no
            with suppress(ModelError):
                found[call] = runner.run(call)
        return _describe(ONNX, content, program, norms, _compare(found, found.values()), found)

    return programs.find(use)


def _make_weights_file(model: nn.Module) -> _Content:
    missing = find_missing("safetensors")
    if missing:
        raise ModelError(missing)
    from safetensors.torch import load, save

    try:
        held = {name: x.detach().clone().contiguous() for name, x in model.state_dict().items()}
        content = save(held)
        read = load(content)
    except Exception as error:  # its own SafetensorError derives from Exception alone; an extra state is no tensor
        raise ModelError(f"safetensors cannot write it: {first_line(error)}") from error
    if held.keys() != read.keys() or not all(torch.equal(x, read[name].to(x.device)) for name, x in held.items()):
        raise ModelError("safetensors reads other values than were written")
    return content, ExportedFile(WEIGHTS, len(content), hashlib.sha256(content).hexdigest())


def _compare(calls: Iterable[Call], found: Iterable[tuple[Tensor, ...]]) -> float:
    worst = 0.0
    for call, given in zip(calls, found, strict=True):
        error = measure_error(*(tuple(x.cpu() for x in each) for each in (call.given, given)))
        check_error(error, call.given)
        worst = max(worst, error)
    return worst


def _describe(
    name: str,
    content: bytes,
    program: Program,
    norms: int,
    worst: float | None,
    calls: Iterable[Call],
    note: str = "",
) -> _Content:
    digest = hashlib.sha256(content).hexdigest()
    shapes = tuple(call.shapes for call in calls)
    return content, ExportedFile(name, len(content), digest, program.free, norms, worst, shapes, note)
