"""The verb `export`: a folded network in files that load without placenorm."""

import json
from pathlib import Path
from typing import Final

from placenorm.errors import StoreError
from placenorm.exports.folder import list_versions, write_files
from placenorm.facts.codec import encode
from placenorm.facts.folding import ExportedFile, Folding
from placenorm.graph.tracing import ExampleInputs, describe_inputs
from placenorm.report.files import replace_file
from placenorm.rewrite.unnorming import Folded

FACTS: Final = "fold.json"


def export(
    folded: Folded, example_inputs: ExampleInputs, out: Path | str, *, name: str | None = None, weights: str = ""
) -> Folding:
    """Write a folded network into a folder, check what was written, and return what became of it.

    ``model.pt2`` is a program of torch.export, ``model.onnx`` an ONNX model (with the packages onnx and onnxscript),
    ``weights.safetensors`` the weights of ``folded.model`` (with safetensors), ``fold.json`` what this returns. The
    batch, and the size of images where the network allows, may be other than the example's. Each file is whole or not
    written: ``model.pt2`` is run first in a process that cannot import placenorm, ``model.onnx`` in onnxruntime where
    it is installed, and both have to give what the network gives.

    Args:
        folded: what `placenorm.fold` returned.
        example_inputs: the example that it was folded with.
        out: the folder; it is made if it is not there.
        name: what the network is called in ``fold.json``; its class by default.
        weights: where its weights are from, for ``fold.json``.

    Returns:
        What was folded and, in ``files``, what was written: size, hash, error and free axes of each file, or why it
        could not be written.

    Raises:
        ModelError: if the network does not run on the example.
        StoreError: if the folder cannot be written to.

    Example:
        >>> import tempfile, torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU()).eval()
        >>> example = torch.randn(2, 4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = pn.export(pn.fold(net, example), example, folder)
        >>> [(file.name, file.free, file.norms) for file in done.files][:2]
        [('model.pt2', ('batch',), 0), ('model.onnx', ('batch',), 0)]
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"Cannot write to {folder}: {error.strerror}; give a folder that can be written to."
        ) from error
    files = write_files(folded.model, example_inputs, folder)
    done = describe_folded(folded, example_inputs, name or type(folded.model).__name__, weights, files)
    replace_file(folder / FACTS, (json.dumps(encode(done), indent=2, ensure_ascii=False) + "\n").encode())
    return done


def describe_folded(
    folded: Folded, example_inputs: ExampleInputs, name: str, weights: str, files: tuple[ExportedFile, ...] = ()
) -> Folding:
    """Return what was folded as facts.

    Args:
        folded: what `placenorm.fold` returned.
        example_inputs: the example that it was folded with.
        name: what the network is called.
        weights: where its weights are from.
        files: what was written of it.
    """
    held = next((p.dtype for p in folded.model.parameters() if p.is_floating_point()), None)
    return Folding(
        model=name,
        inputs=describe_inputs(example_inputs),
        dtype=str(held).removeprefix("torch."),
        norms=folded.matched,
        changes=folded.changes,
        skipped=folded.skipped,
        max_error=folded.max_error,
        max_error_float32=folded.max_error_float32,
        max_error_dtype=folded.max_error_dtype,
        verified=folded.verified,
        bordered=folded.bordered,
        hooked=folded.hooked,
        agreement=folded.agreement,
        files=files,
        versions=list_versions() if files else {},
        weights=weights,
    )
