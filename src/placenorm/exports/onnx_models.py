"""A program as an ONNX model, and what onnxruntime makes of it."""

import logging
import warnings
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor

from placenorm.errors import ModelError, first_line
from placenorm.exports.calls import Call
from placenorm.exports.programs import Program

WRITERS: Final = ("onnx", "onnxscript")
RUNNER: Final = "onnxruntime"

_STANDARD: Final = frozenset({"", "ai.onnx"})
_FATAL: Final = 4
"""What onnxruntime writes to the terminal by itself: nothing less, since its errors are raised as well."""


def find_missing(*names: str) -> str:
    """Return how to get packages that are not there; "" if all are."""
    missing = [name for name in names if find_spec(name) is None]
    return f"it needs {' and '.join(missing)}: pip install 'placenorm[export]'" if missing else ""


def make_onnx(program: Program) -> tuple[bytes, int]:
    """Return a program as the content of an ONNX file, and how many batch norms it has.

    Raises:
        ModelError: if it cannot be written so, or not with standard ops.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: Any = torch.onnx.export(program.exported, dynamo=True, verbose=False)
        model = made.model_proto
        for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
            del node.metadata_props[:]  # where each call stood in files of this machine
        content: bytes = model.SerializeToString()
    except Exception as error:  # of the converter, of protobuf above 2 GB
        raise ModelError(f"torch.onnx cannot write it: {first_line(error)}") from error
    finally:
        logger.setLevel(level)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    homes = {str(node.domain) for node in nodes} - _STANDARD - {str(function.domain) for function in model.functions}
    if homes:
        raise ModelError(f"it has ops of {', '.join(sorted(homes))}, which are not standard")
    return content, sum(node.op_type == "BatchNormalization" for node in nodes)


class RunnerError(ModelError):
    """Something that onnxruntime has no kernel for on this machine: no fault of the file."""


class OnnxRunner:
    """Runs an ONNX model in onnxruntime, on the processor.

    Args:
        content: of the file.

    Raises:
        RunnerError: if onnxruntime lacks a kernel for it.
        ModelError: if onnxruntime does not take it.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own kinds, each a class of its own
            if type(error).__name__ == "NotImplemented":
                raise RunnerError(f"onnxruntime has no kernel for it here ({first_line(error)})") from error
            raise ModelError(f"onnxruntime does not take it: {first_line(error)}") from error

    def run(self, call: Call) -> tuple[Tensor, ...]:
        """Return what the model gives for a call.

        Raises:
            ModelError: if it does not run.
        """
        names = [each.name for each in self._session.get_inputs()]
        try:
            inputs = dict(zip(names, (x.cpu().numpy() for x in call.tensors), strict=True))
            return tuple(torch.from_numpy(y) for y in self._session.run(None, inputs))
        except Exception as error:  # onnxruntime's own kinds
            raise ModelError(f"onnxruntime does not run it: {first_line(error)}") from error
