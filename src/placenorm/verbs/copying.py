"""A copy of the user's model, for verbs that leave the model itself alone."""

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from placenorm.errors import ModelError, first_line
from placenorm.graph.tracing import ExampleInputs, map_tensors
from placenorm.rewrite.proving import evaluate, measure_error

SAME: Final = 1e-3
"""By what share of its largest output two runs of one network differ at most, whatever its type rounds."""


def copy_model(model: nn.Module, way_out: str = "") -> tuple[nn.Module, dict[int, Any]]:
    """Return a copy of a model, and what each of its objects became, by the ids of the model's.

    Args:
        model: the model; the copy takes gradients, also within ``torch.inference_mode``.
        way_out: what the user can do instead, beside the usual; begins with a comma.

    Raises:
        ModelError: if something in the model cannot be copied.
    """
    copies: dict[int, Any] = {}
    try:
        with torch.inference_mode(False):
            return copy.deepcopy(model, copies), copies
    except Exception as error:  # the user's own attributes, anything can come out of it
        raise ModelError(
            f"Cannot copy {type(model).__name__}: {first_line(error)}; run a lazy model once, or use "
            f"torch.nn.utils.parametrizations in the place of hooks that recompute weights{way_out}."
        ) from error


def check_copy(model: nn.Module, copied: nn.Module, example_inputs: ExampleInputs, way_out: str = "") -> None:
    """Raise an error where a copy is none: where it gives something else than the model, or runs the model's modules.

    Hooks and functions that are held by the model may hold the model itself, and a copy of them does so too.

    Args:
        model: the model; it runs on the example.
        copied: the copy.
        example_inputs: what they are called with; they are given it with other numbers, if they take those.
        way_out: as for `copy_model`.

    Raises:
        ModelError: naming the model.
    """
    if any(tensor.is_meta or is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        return  # there are no values to compare
    watched = [each for each in model.modules() if each._parameters or each._buffers or each._modules]
    for change in (_change_values, lambda x: x):
        try:
            inputs = map_tensors(change, example_inputs)
            truth, _ = _run_watched(model, inputs, [])
        except Exception:  # the other numbers may be none that the model takes
            continue
        try:
            found, ran = _run_watched(copied, inputs, watched)
        except Exception as error:
            raise ModelError(
                f"A copy of {type(model).__name__} does not run where the model does ({type(error).__name__}: "
                f"{first_line(error)}), so that something in it must hold the model itself; let it read what it is "
                f"called with{way_out}."
            ) from error
        if not ran and (
            measure_error(truth, found) <= SAME
            or measure_error(truth, _run_watched(model, inputs, [])[0]) > SAME  # it is not the same twice, by itself
        ):
            return
        how = "runs the model's own modules" if ran else "gives something else than the model does"
        raise ModelError(
            f"A copy of {type(model).__name__} {how}, so that hooks or functions in it must hold the model itself; let "
            f"them read what they are called with{way_out}."
        )


def _change_values(x: Tensor) -> Tensor:
    """Return other numbers like those of a tensor, none of them smaller; whole numbers stay."""
    if not x.is_floating_point():
        return x
    spread = x.double().std().item() if x.numel() > 1 else 0.0
    draw = torch.Generator().manual_seed(0)
    return x + (spread or 1.0) * torch.rand(x.shape, generator=draw).to(x)


def _run_watched(model: nn.Module, inputs: ExampleInputs, others: list[nn.Module]) -> tuple[Any, bool]:
    """Return what a model gives, and whether one of some other modules ran."""
    ran: list[nn.Module] = []
    hooks = [module.register_forward_pre_hook(lambda m, _: ran.append(m)) for module in others]
    try:
        with torch.inference_mode(False):
            result = evaluate(model, inputs)
        return result, bool(ran)
    finally:
        for hook in hooks:
            hook.remove()
