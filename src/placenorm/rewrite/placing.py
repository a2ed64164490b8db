"""A model and a placement in, a new model out: norms put in, taken out and moved, the user's source untouched."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn
from torch.optim import Optimizer

from placenorm.errors import ModelError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.graph import Graph
from placenorm.facts.placement import Placement, Position
from placenorm.graph.placements import BlockFilter, plan_edits
from placenorm.graph.tracing import ExampleInputs, make_graph, record_model, trace_model, trace_training
from placenorm.probe.measuring import check_batches
from placenorm.rewrite.absorbing import check_weight_ops, give_biases, lacks_bias
from placenorm.rewrite.keeping import FunctionKeeper
from placenorm.rewrite.norms import NormChoice, check_norm
from placenorm.rewrite.optimizers import ParameterMap, remap_optimizer
from placenorm.rewrite.outcome import prove_outcome, prove_training
from placenorm.rewrite.rewriter import Rewriter


@dataclass(frozen=True, slots=True)
class Placed:
    """A model at its placement.

    Attributes:
        model: the rewritten model.
        graph: its graph.
        changes: what was changed: ``.site`` (the block's key) and ``.reason``.
        skipped: what was asked for and not done: ``.site`` and ``.reason``.
        matched: number of blocks that the placement spoke of.
        placement: the position of every block of the model as it was given: what to commit, and to apply to another.
        max_error: max|difference| / max|output| against the model as given, in float64; None where the function was
            meant to change.
        max_error_dtype: the same for the model as it is returned, in its own type.
        parameters: which parameters became which.
        biases: paths of the weight ops that were given a bias to take a norm in.
    """

    model: nn.Module = field(repr=False)
    graph: Graph = field(repr=False)
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    matched: int
    placement: dict[str, Position]
    max_error: float | None
    max_error_dtype: float | None
    parameters: ParameterMap = field(default_factory=ParameterMap, repr=False)
    biases: tuple[str, ...] = ()

    def remap(self, optimizer: Optimizer) -> None:
        """Let an optimizer that holds the parameters of the model as it was given go on with this one's, in place.

        It keeps its state for every parameter that is untouched.
        """
        remap_optimizer(optimizer, self.parameters)


def place_model(
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement,
    norm: NormChoice = "torch",
    *,
    only: BlockFilter = None,
    preserve: object = None,
    biases: Sequence[str] = (),
    prove: bool = True,
) -> Placed:
    """Bring a model to a placement, in place, and prove that its norms stand where they should.

    Args:
        model: any model that runs on the example.
        example_inputs: what the model is called with.
        placement: a named policy, or positions by block key.
        norm: whose norms are put in.
        only: the blocks to restrict the placement to.
        biases: paths of weight ops that are given a bias where they have none, as a placement file asks for.
        preserve: data; the function that the model evaluates to is kept, block by block, or else the block is.
        prove: whether to run copies of forwards to prove that they do traced what they did before. False is right
            only where that was proved already: the same network, and as placement the ``placement`` of what came out,
            since a block whose forward fails the proof stays as it is. Where the norms stand is proved always.

    Raises:
        ModelError: if the model cannot be traced or does not run on the inputs.
        UsageError: if the placement or the norm has an unknown word.
        DataError: if the data to preserve on has no batch that the model takes.
    """
    check_norm(norm)
    if preserve is not None:
        check_batches(preserve)
    check_weight_ops(model, biases)
    recording = record_model(model, example_inputs)
    graph = make_graph(model, recording)
    plan = plan_edits(graph, placement, only)
    given = tuple(model.parameters())
    same = ParameterMap(kept=tuple((parameter, parameter) for parameter in given))
    nothing_done = Placed(model, graph, (), plan.skipped, plan.matched, graph.placement(), 0.0, 0.0, same)
    if not plan.edits and not any(lacks_bias(model, path) for path in biases):
        return replace(nothing_done, placement=plan.placement)
    rewriter = Rewriter(model, graph, recording, example_inputs, norm, prove=prove)
    ready, skipped = rewriter.prepare(plan.edits)
    keeper = None if preserve is None else FunctionKeeper(model, example_inputs, graph, recording, norm)
    if keeper is not None:
        ready, unkept = keeper.choose(ready)
        skipped += unkept
    skips = (*plan.skipped, *skipped)
    if not ready and not any(lacks_bias(model, path) for path in biases):
        return replace(nothing_done, skipped=skips)
    done = [edit for edit, _ in ready]
    without = [] if keeper is None else keeper.find_new_biases(model)
    if keeper is not None:
        keeper.rewrite_twin(ready, preserve)
        keeper.prepare(model)
        rewriter.carried = keeper.carried
    beside = {edit.block: _weight_beside(model, graph, edit) for edit in done}
    aside = rewriter.aside()
    in_training = trace_training(model, example_inputs) if rewriter.traces(ready) else None
    changes = rewriter.perform(ready)
    for path in (path for path in biases if lacks_bias(model, path)):
        give_biases(model, [path])
        changes.append(Change(path, "a bias added (zero), as the placement file asks for"))
    touched = frozenset() if keeper is None else keeper.hand_over(model)
    touched |= {id(parameter) for norm in rewriter.reset for parameter in norm.parameters(recurse=False)}
    try:
        placed = trace_model(model, example_inputs)
    except ModelError as error:
        raise ModelError(
            f"Cannot place these norms: {type(model).__name__} ran before the change and does not now ({error}); place "
            "fewer blocks with filter, and please report this network."
        ) from error
    prove_outcome(graph, placed, done, rewriter.foreign, aside=aside | rewriter.aside())
    if in_training is not None:
        after = trace_training(model, example_inputs)
        if after is not None:
            prove_training(graph, in_training, after, done, rewriter.foreign, aside=aside | rewriter.aside())
    near = {id(p): beside[edit.block] for module, edit in rewriter.built for p in module.parameters()}
    made = {id(edit) for edit in done}
    undone = {key: edit.before for edit in plan.edits if id(edit) not in made for key in (edit.block, *edit.also)}
    return Placed(
        model,
        placed,
        tuple(changes),
        skips,
        plan.matched,
        {**plan.placement, **undone},
        None if keeper is None else keeper.error,
        None if keeper is None else keeper.error_as_returned(model),
        _map_parameters(model, given, near, touched),
        tuple(path for path in (*without, *biases) if not lacks_bias(model, path)),
    )


def _weight_beside(model: nn.Module, graph: Graph, edit: Edit) -> nn.Parameter | None:
    """Return the weight that opens an edit's block: what an optimizer does to it, it does to the block's norm."""
    block = next(block for block in (*graph.blocks, *graph.joins) if block.key == edit.block)
    module = graph.ops[block.weight].module
    near = model.get_submodule(module if module is not None else graph.ops[block.weight].owner)
    return next(iter(near.parameters()), None)


def _map_parameters(
    model: nn.Module,
    given: tuple[nn.Parameter, ...],
    beside: dict[int, nn.Parameter | None],
    touched: frozenset[int],
) -> ParameterMap:
    """Return what became of the parameters of a model that was rewritten in place."""
    now = {id(parameter) for parameter in model.parameters()}
    known = {id(parameter) for parameter in given}
    added: list[tuple[nn.Parameter, nn.Parameter | None]] = []
    for module in model.modules():
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in known]
        old = next((parameter for parameter in module.parameters(recurse=False) if id(parameter) in known), None)
        added.extend((parameter, beside.get(id(parameter), old)) for parameter in own)
    return ParameterMap(
        kept=tuple((parameter, parameter) for parameter in given if id(parameter) in now),
        gone=tuple(parameter for parameter in given if id(parameter) not in now),
        added=tuple(added),
        touched=touched,
    )
