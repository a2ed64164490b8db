"""Placing on networks that people really use: torchvision's, timm's, a U-Net and a multilayer perceptron."""

import copy
import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

import placenorm as pn
from placenorm.facts.placement import Policy
from placenorm.graph.placements import plan_edits
from placenorm.rewrite.placing import Placed
from support.real_networks import CLASSES, REAL, RealNetwork, tensors_of, train_looking

pytestmark = pytest.mark.slow

MOVING: tuple[Policy, ...] = ("none", "before-activation", "after-activation", "after-pool")
POOLING = ("resnet18", "vgg11_bn", "googlenet")
"""Networks with a pool behind an activation: in the others, after-pool asks for what after-activation does."""

EVERY = [(name, policy) for name in REAL for policy in MOVING if policy != "after-pool" or name in POOLING]
IDS = [f"{name}-{policy}" for name, policy in EVERY]
ORDINARY = ("resnet18", "mobilenet_v3_small", "vgg11_bn", "efficientnet_b0")
"""Networks of conv, norm and activation, in which nothing stands in a norm's way into the weights."""

SAMPLE: tuple[tuple[str, Policy], ...] = (
    ("resnet18", "after-pool"),
    ("mobilenet_v3_small", "before-activation"),
    ("vgg11_bn", "after-pool"),
    ("densenet121", "after-activation"),
    ("googlenet", "none"),
    ("efficientnet_b0", "after-activation"),
    ("convmixer", "before-activation"),
    ("xcit_nano", "after-activation"),
    ("unet", "after-activation"),
    ("mlp", "after-activation"),
)
SAMPLE_IDS = [f"{name}-{policy}" for name, policy in SAMPLE]

STEPS, FEW = 20, 3
RATE = 0.01
EXACT, ROUNDED = 1e-9, 1e-4
"""Largest error, as a share of the largest output, of what is exact: in float64, and in float32."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: the tensors are small, and two threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Case:
    """A network, what it was before it was placed, and what came out. Tests change copies only."""

    network: RealNetwork
    policy: Policy
    inputs: Tensor
    given: nn.Module
    state: dict[str, Tensor]
    names: list[str]
    done: Placed

    def copy_placed(self) -> nn.Module:
        return copy.deepcopy(self.done.model)


class Fired:
    """Hooks that note which modules run; of this file, so that a model that carries them can be pickled."""

    names: ClassVar[set[str]] = set()

    @classmethod
    def note(cls, name: str, module: nn.Module, args: object, output: object) -> None:
        cls.names.add(name)

    @classmethod
    def during(cls, model: nn.Module, inputs: Tensor) -> set[str]:
        """Return the names under which the modules that run were known when the hooks were registered."""
        cls.names.clear()
        evaluate(model, inputs)
        return set(cls.names)


def make_case(
    name: str, policy: Policy, *, trained: bool = False, dtype: torch.dtype = torch.float32, hooked: bool = False
) -> Case:
    network = REAL[name]
    model = network.make().to(dtype)
    if trained:
        train_looking(model, seed=1)
    if hooked:
        for path, module in model.named_modules():
            module.register_forward_hook(partial(Fired.note, path))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    names = [path for path, _ in model.named_modules()]
    inputs = network.draw_inputs(0, dtype)
    done = pn.place(model, inputs, policy, preserve=[network.draw_inputs(1, dtype)] if trained else None)
    return Case(network, policy, inputs, model, state, names, done)


@pytest.fixture(scope="module", params=EVERY, ids=IDS)
def case(request: pytest.FixtureRequest) -> Case:
    """A network as its library initialises it, placed."""
    return make_case(*request.param)


@pytest.fixture(scope="module", params=SAMPLE, ids=SAMPLE_IDS)
def sampled(request: pytest.FixtureRequest) -> Case:
    """A network whose every module has a hook, placed."""
    return make_case(*request.param, hooked=True)


@pytest.fixture(scope="module", params=EVERY, ids=IDS)
def kept(request: pytest.FixtureRequest) -> Case:
    """A network in float64 that looks trained, placed with its function preserved."""
    return make_case(*request.param, trained=True, dtype=torch.float64)


@pytest.fixture(scope="module", params=SAMPLE, ids=SAMPLE_IDS)
def kept_in_float32(request: pytest.FixtureRequest) -> Case:
    """A network in float32 that looks trained, placed with its function preserved."""
    return make_case(*request.param, trained=True)


def loss_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the mean cross-entropy of everything a network gives, against labels drawn at random."""
    outputs = list(tensors_of(model(inputs)))
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (len(inputs), *outputs[0].shape[2:]), generator=generator)  # [N, *]
    return torch.stack([F.cross_entropy(output, labels) for output in outputs]).mean()


def without_gradient(model: nn.Module, inputs: Tensor) -> set[str]:
    """Return the parameters to which one training step gives no gradient, or one that is not finite."""
    model.zero_grad(set_to_none=True)
    loss_of(model.train(), inputs).backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.isfinite().all()))
    }


def evaluate(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Return what a network evaluates to, and once more with the heads that run in training only."""
    with torch.no_grad():
        model.eval()
        outputs = list(tensors_of(model(inputs)))
        model.training = True  # its parts evaluate on
        outputs += tensors_of(model(inputs))
    model.eval()
    return outputs


def without_hooks_of_users(model: nn.Module) -> nn.Module:
    """Return a model whose hooks are those that run norms: a compiler would look into the others."""
    for module in model.modules():
        for key, hook in list(module._forward_hooks.items()):
            if isinstance(hook, partial):
                del module._forward_hooks[key]
    return model


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return max|difference| / max|output|, the largest over the outputs."""
    errors = []
    for one, other in zip(found, expected, strict=True):
        assert one.isfinite().all()
        errors.append(float((one - other).abs().max() / other.abs().max()))
    return max(errors)


# -- a network that is placed


def test_placed_real_network_trains(case: Case) -> None:
    """Its loss falls on a batch that it sees again and again; dropout is off, so that nothing but the steps counts."""
    model, inputs = case.copy_placed().train(), case.inputs
    for module in model.modules():
        module.train(not isinstance(module, nn.modules.dropout._DropoutNd) and module.training)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, inputs)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert torch.tensor(losses).isfinite().all()
    assert sum(losses[-FEW:]) < sum(losses[:FEW])


def test_placed_real_network_gives_every_parameter_a_gradient(case: Case) -> None:
    excused = without_gradient(copy.deepcopy(case.given), case.inputs)
    assert without_gradient(case.copy_placed(), case.inputs) <= excused


def test_placed_real_network_placed_again_is_the_same(case: Case) -> None:
    again = pn.place(case.done.model, case.inputs, case.policy)
    assert again.changes == ()
    assert again.model.state_dict().keys() == case.done.model.state_dict().keys()


def test_placed_real_network_leaves_the_original_bit_equal(case: Case) -> None:
    assert isinstance(case.done.model, type(case.given))
    assert [name for name, _ in case.given.named_modules()] == case.names
    assert case.given.state_dict().keys() == case.state.keys()
    for key, value in case.given.state_dict().items():
        assert torch.equal(value, case.state[key]), key
    shared = {id(value) for value in case.given.state_dict(keep_vars=True).values()}
    assert not shared & {id(value) for value in case.done.model.state_dict(keep_vars=True).values()}


def test_placed_real_network_keeps_what_no_change_names(case: Case) -> None:
    """All keys stay with their values, but for the norms of changed blocks and the biases of their weight ops."""
    graph = pn.trace(case.given, case.inputs)
    sites = {change.site for change in case.done.changes}
    blocks = [block for block in (*graph.blocks, *graph.joins) if block.key in sites]
    assert {block.key for block in blocks} == sites
    norms = {str(graph.ops[index].module) for block in blocks for index in block.norms}
    biases = {f"{graph.ops[block.weight].module}.bias" for block in blocks if not block.joined}
    placed = case.done.model.state_dict()
    same = [key for key in case.state if key.rpartition(".")[0] not in norms and key not in biases]
    assert same
    for key in same:
        assert torch.equal(placed[key], case.state[key]), key
    for key in placed.keys() - case.state.keys() - biases:
        assert isinstance(case.done.model.get_submodule(key.rpartition(".")[0]), _BatchNorm), key


def test_placed_real_network_is_copied_and_pickled(case: Case) -> None:
    model = train_looking(case.copy_placed(), seed=2)
    expected = evaluate(model, case.inputs)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(evaluate(other, case.inputs), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", REAL, ids=REAL)
def test_real_network_without_norms_has_none_that_runs(name: str) -> None:
    inputs = REAL[name].draw_inputs(0)
    done = pn.place(REAL[name].make(), inputs, "none")
    assert done.changes
    assert done.graph.norms == ()
    ran: list[str] = []
    for path, module in done.model.named_modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_hook(lambda module, args, output, path=path: ran.append(path))
    evaluate(done.model, inputs)
    assert ran == []


@pytest.mark.parametrize("name", REAL, ids=REAL)
def test_real_network_with_no_pool_behind_an_activation_has_no_placement_of_its_own_there(name: str) -> None:
    graph = pn.trace(REAL[name].make(), REAL[name].draw_inputs(0))
    after_pool, after = plan_edits(graph, "after-pool").edits, plan_edits(graph, "after-activation").edits
    assert (after_pool != after) is (name in POOLING)


# -- other tools, on a sample


def test_placed_real_network_is_saved_and_loaded(sampled: Case) -> None:
    model = train_looking(sampled.copy_placed(), seed=2)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh = pn.place(sampled.network.make(), sampled.inputs, sampled.policy).model
    fresh.load_state_dict(torch.load(file, weights_only=True))
    expected = evaluate(model, sampled.inputs)
    torch.testing.assert_close(evaluate(fresh, sampled.inputs), expected, rtol=0, atol=0)


def test_placed_real_network_runs_the_hooks_it_was_given(sampled: Case) -> None:
    """A hook of the user's on any module goes on firing, unless its module was a norm that went."""
    norms = {name for name, module in sampled.given.named_modules() if isinstance(module, _BatchNorm)}
    expected = Fired.during(copy.deepcopy(sampled.given), sampled.inputs) - norms
    assert len(expected) > 1
    assert expected <= Fired.during(sampled.copy_placed(), sampled.inputs)


def test_placed_real_network_compiles(sampled: Case) -> None:
    model = without_hooks_of_users(train_looking(sampled.copy_placed(), seed=2).eval())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    try:
        torch.testing.assert_close(compiled(sampled.inputs), model(sampled.inputs))
    finally:
        torch.compiler.reset()


def test_placed_real_network_exports_to_onnx(sampled: Case) -> None:
    model = without_hooks_of_users(train_looking(sampled.copy_placed(), seed=2).eval())
    program = torch.onnx.export(model, (sampled.inputs,), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: sampled.inputs.numpy()})
    assert relative_error([torch.from_numpy(found[0])], [model(sampled.inputs).detach()]) < ROUNDED


# -- a trained network that keeps what it computes


def test_preserved_real_network_says_how_exact_it_is(kept: Case) -> None:
    assert kept.done.max_error is not None
    assert kept.done.max_error < EXACT
    assert kept.done.max_error_dtype is not None
    assert kept.done.max_error_dtype < EXACT
    assert all(skip.site and skip.reason for skip in kept.done.skipped)


def test_preserved_real_network_computes_the_same(kept: Case) -> None:
    """On an input that is neither the example nor the data, with the heads that run in training only."""
    other = kept.network.draw_inputs(2, torch.float64)
    expected = evaluate(copy.deepcopy(kept.given), other)
    assert relative_error(evaluate(kept.copy_placed(), other), expected) < EXACT


def test_preserved_real_network_leaves_the_original_bit_equal(kept: Case) -> None:
    assert [name for name, _ in kept.given.named_modules()] == kept.names
    for key, value in kept.given.state_dict().items():
        assert torch.equal(value, kept.state[key]), key


def test_preserved_real_network_gives_every_parameter_a_gradient(kept: Case) -> None:
    excused = without_gradient(copy.deepcopy(kept.given), kept.inputs)
    assert without_gradient(kept.copy_placed(), kept.inputs) <= excused


def test_preserved_real_network_leaves_no_block_in_silence(kept: Case) -> None:
    """Every block stands where the policy wants it, or `skipped` names it."""
    wanted = plan_edits(pn.trace(kept.given, kept.inputs), kept.policy).placement
    found = kept.done.graph.placement()
    named = {skip.site for skip in kept.done.skipped}
    assert {key for key, position in wanted.items() if found.get(key, "none") != position} <= named


def test_preserved_real_network_in_float32_is_exact_up_to_rounding(kept_in_float32: Case) -> None:
    done, other = kept_in_float32.done, kept_in_float32.network.draw_inputs(2)
    assert done.max_error is not None
    assert done.max_error < EXACT
    assert done.max_error_dtype is not None
    assert done.max_error_dtype < ROUNDED
    expected = evaluate(copy.deepcopy(kept_in_float32.given), other)
    assert relative_error(evaluate(kept_in_float32.copy_placed(), other), expected) < ROUNDED


@pytest.mark.parametrize("name", ORDINARY, ids=ORDINARY)
def test_preserved_ordinary_network_loses_every_norm(name: str) -> None:
    inputs = REAL[name].draw_inputs(0)
    done = pn.place(train_looking(REAL[name].make(), seed=1), inputs, "none", preserve=inputs)
    assert done.graph.norms == ()
    assert done.skipped == ()
    assert not any(isinstance(module, _BatchNorm) for module in done.model.modules())
