"""A model in, the same model on fused layers out: what norms and their neighbours compute in one, and the way back."""

from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from placenorm.errors import ModelError, first_line
from placenorm.facts.edits import Change, Skip
from placenorm.graph.tracing import ExampleInputs, record_model
from placenorm.rewrite.fusing import Accelerator, find_norms
from placenorm.rewrite.keeping import EXACT
from placenorm.rewrite.optimizers import ParameterMap, remap_optimizer
from placenorm.rewrite.originals import check_restorable, is_accelerated, put_back
from placenorm.rewrite.stepping import StepProof


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A model on fused layers.

    Attributes:
        model: the model.
        changes: the norms that are layers of ours now: ``.site`` (the norm's path) and ``.reason`` (what it takes in).
        skipped: the norms that stay, or whose neighbours do: ``.site`` and ``.reason``.
        matched: number of batch norms in the model.
        max_error: max|difference| / max|value| against the model as given, the largest over outputs, gradients and
            buffers of a training step and outputs in evaluation, in float64.
        max_error_dtype: the same over outputs and buffers in the model's own type, as returned. Gradients are compared
            there too, and not counted: where rounding alone turns a ReLU on or off, it moves them by per cents.
        parameters: which parameters became which: all stayed.
    """

    model: nn.Module = field(repr=False)
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    matched: int
    max_error: float
    max_error_dtype: float
    parameters: ParameterMap = field(default_factory=ParameterMap, repr=False)

    def remap(self, optimizer: Optimizer) -> None:
        """Let an optimizer that holds the parameters of the model as it was given go on with this one's, in place."""
        remap_optimizer(optimizer, self.parameters)


def accelerate_model(model: nn.Module, example_inputs: ExampleInputs) -> Accelerated:
    """Put our layers in the place of a model's norms, in place, and prove that it trains and evaluates as before.

    Args:
        model: any model that runs and trains on the example; after an error it is as it was.
        example_inputs: what the model is called with.

    Raises:
        ModelError: if the model cannot be looked into, does not run or train on the inputs, or does not do the same on
            fused layers, in float64 or in its own type.
        UsageError: if the example inputs are neither a tensor nor a tuple nor a dict.
    """
    norms = find_norms(model)
    same = ParameterMap(kept=tuple((parameter, parameter) for parameter in model.parameters()))
    if not norms:
        return Accelerated(model, (), (), 0, 0.0, 0.0, same)
    recording = record_model(model, example_inputs)
    proof = StepProof(model, example_inputs)
    reason = "it runs again in the backward (checkpointed activations), where torch's layer counts a batch twice"
    left_out = {path: reason for path in norms if path in proof.recomputed}
    accelerator = Accelerator(model, recording, example_inputs, left_out)
    before = [(module, type(module), dict(module.__dict__)) for module in model.modules()]
    try:
        changes, skipped = accelerator.perform()
        error, error_dtype = _prove(proof, model) if changes else (0.0, 0.0)
    except BaseException:
        for module, kind, held in before:
            module.__class__ = kind
            module.__dict__.clear()
            module.__dict__.update(held)
        raise
    return Accelerated(model, tuple(changes), tuple(skipped), len(norms), error, error_dtype, same)


def _prove(proof: StepProof, model: nn.Module) -> tuple[float, float]:
    """Return how far a model on fused layers is from what it was, in float64 and in its own type.

    Raises:
        ModelError: if it does not run, or is further than rounding takes it.
    """
    name = type(model).__name__
    try:
        error = proof.measure(model)
        if not error <= EXACT:
            raise ModelError(
                f"Cannot accelerate {name}: on fused layers a training step differs by {error:.1e} in float64, where "
                f"{EXACT:.0e} is rounding, so nothing was changed; please report this network."
            )
        error_dtype, fault = proof.measure_as_returned(model)
        if fault:
            path, by_itself = proof.find_furthest(model)
            raise ModelError(
                f"Cannot accelerate {name}: on fused layers and in its own type, {fault}, so nothing was changed; of "
                f"the norms, {path or name} is the furthest off by itself ({by_itself:.1e}); please report this "
                "network."
            )
    except ModelError:
        raise
    except Exception as error:  # the user's own forward runs, anything can come out of it
        raise ModelError(
            f"Cannot accelerate {name}: it does not run on fused layers ({first_line(error)}), so nothing was changed; "
            "please report this network."
        ) from error
    return error, error_dtype


def restore_model(model: nn.Module) -> int:
    """Give a model that was accelerated its own layers and forwards back, in place, with the values it has now.

    Args:
        model: the model.

    Returns:
        How many modules became again what they were.

    Raises:
        ModelError: if a forward was rewritten again since; nothing is then changed.
    """
    changed = [(path, module) for path, module in model.named_modules() if is_accelerated(module)]
    for path, module in changed:
        check_restorable(path, module)
    for _, module in changed:
        put_back(module)
    return len(changed)
