"""A watch reads the truth, changes nothing, and leaves nothing behind."""

import copy
import gc
import json
import math
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import ModelError, NoEffectWarning, PlacenormWarning, StoreError, UsageError
from placenorm.facts.codec import dumps, loads
from placenorm.facts.placement import POLICIES, Policy
from placenorm.facts.reading import LEVELS, Look, Watched
from placenorm.graph.vocabulary import RELU_LIKE
from placenorm.probe import ledger, watching
from placenorm.probe.gradients import GradientTrack
from placenorm.probe.moments import ACTIVE, join_samples, measure_activity, measure_samples, measure_shape, see_values
from placenorm.probe.thinning import ThinnedList
from placenorm.probe.watching import Watcher
from placenorm.report.looks_log import LooksLog
from support.networks import ALL, IMAGES, ModuleNet
from support.watched import ConvNet, SharedReLU, batches, perceptron, train

ROWS = (16, 6)
MAPS = (8, 1, 8, 8)


def count_hooks(model: nn.Module) -> int:
    """Return how many hooks hang on a model and its parameters."""
    modules = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
    return modules + sum(len(p._post_accumulate_grad_hooks or ()) for p in model.parameters())


# -- what is read


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("policy", POLICIES, ids=POLICIES)
def test_sites_have_the_keys_of_the_graph(net: type[nn.Module], policy: Policy) -> None:
    placed = pn.place(net(), IMAGES, policy)
    with pn.watch(placed.model, every=1) as probe, torch.no_grad():
        placed.model.eval()
        placed.model(IMAGES)
    seen = [(r.site, r.kind) for r in probe.readings if r.kind in ("norm", "activation", "pool")]
    assert seen == [(op.key, op.kind) for op in placed.graph.ops if op.kind in ("norm", "activation", "pool")]


@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (6, 3, 7), (4, 3, 5, 2), (2, 3, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e3], ids=["centred", "far from 0"])
def test_moments_are_those_of_the_values(shape: tuple[int, ...], offset: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.1 + offset
    side = measure_samples(see_values(x))
    mean, between, squares = join_samples([side])
    axes = [axis for axis in range(x.dim()) if axis != 1]
    wide = x.double()
    torch.testing.assert_close(mean.double(), wide.mean(axes), rtol=1e-6, atol=1e-6)
    var = (squares / side.places + between).double()
    torch.testing.assert_close(var, wide.var(axes, correction=0), rtol=2e-3, atol=1e-9)
    skewness, kurtosis, zeros = measure_shape(see_values(x)).double()
    z = (wide - wide.mean(axes, keepdim=True)) / wide.std(axes, correction=0, keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(skewness, z.pow(3).mean(axes), rtol=5e-2, atol=5e-2)
    torch.testing.assert_close(kurtosis, z.pow(4).mean(axes), rtol=5e-2, atol=5e-2)
    assert zeros.tolist() == [0.0] * shape[1]


def test_sides_are_joined_in_order() -> None:
    first, second = torch.randn(4, 3, 5, 5), torch.randn(4, 2)
    joined = join_samples([measure_samples(see_values(first)), measure_samples(see_values(second))])
    torch.testing.assert_close(joined[0], torch.cat([first.mean((0, 2, 3)), second.mean(0)]))


@pytest.mark.parametrize("axis", [1, -1], ids=["maps", "features"])
def test_channels_may_be_on_the_last_axis(axis: int) -> None:
    x = torch.randn(4, 3, 7)
    mean = join_samples([measure_samples(see_values(x, axis))])[0]
    torch.testing.assert_close(mean, x.mean([a for a in range(3) if a != axis % 3]))


@pytest.mark.parametrize("name", sorted(RELU_LIKE))
def test_active_is_where_the_slope_is_not_zero(name: str) -> None:
    x = torch.tensor([-4.0, -3.0, -2.9, -1.0, 0.0, 0.1, 2.9, 3.0, 3.1, 5.9, 6.0, 7.0], requires_grad=True)
    getattr(nn, name)()(x).sum().backward()
    assert x.grad is not None
    ends = torch.isin(x.detach(), torch.tensor([-3.0, 0.0, 3.0, 6.0]))  # where the slope jumps torch may say either
    assert torch.equal(ACTIVE[name](x.detach())[~ends] > 0, x.grad[~ends] != 0)
    assert ACTIVE.keys() == RELU_LIKE


@pytest.mark.parametrize("name", ["Tanh", "Sigmoid", "Softsign"])
def test_saturated_is_where_the_slope_is_below_a_hundredth_of_the_largest(name: str) -> None:
    x = torch.linspace(-12, 12, 2401, requires_grad=True)
    getattr(nn, name)()(x).sum().backward()
    assert x.grad is not None
    share = measure_activity(see_values(x.detach().view(-1, 1)), name)[1].item()
    assert share == pytest.approx((x.grad < 0.01 * x.grad.max()).float().mean().item(), abs=2e-3)


def test_a_call_in_place_is_read_before_it_runs() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True))
    x = torch.randn(ROWS, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = model[0](x)
    with pn.watch(model, every=1, level="full") as probe:
        model(x)
    (relu,) = [reading for reading in probe.readings if reading.site == "1"]
    assert relu.before is not None
    assert relu.after is not None
    assert relu.before.mean == pytest.approx(raw.mean().item(), rel=1e-5)
    assert relu.after.mean == pytest.approx(raw.relu().mean().item(), rel=1e-5)
    assert relu.before.zero_share == 0.0
    assert relu.after.zero_share == pytest.approx((raw <= 0).float().mean().item())
    assert relu.activity is not None
    assert relu.activity.active_share == pytest.approx((raw > 0).float().mean().item())


def test_the_gradient_at_a_site_is_that_of_its_output() -> None:
    model = perceptron()
    x = torch.randn(ROWS)
    kept: list[Tensor] = []
    with pn.watch(model, every=1) as probe:
        handle = model[1].register_forward_hook(
            lambda module, args, output: output.retain_grad() or kept.append(output)
        )
        model(x).square().sum().backward()
        handle.remove()
    (relu,) = [reading for reading in probe.readings if reading.site == "1"]
    assert kept[0].grad is not None
    assert relu.gradient_norm == pytest.approx(kept[0].grad.norm().item(), rel=1e-5)
    (look,) = probe.history.looks
    whole = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters() if p.grad is not None))
    assert look.gradient_norm == pytest.approx(whole, rel=1e-5)


def test_the_gap_is_the_distance_from_the_statistics_before_the_step() -> None:
    norm = nn.BatchNorm1d(6)
    x = torch.randn(ROWS, generator=torch.Generator().manual_seed(0)) * 2 + 3
    with pn.watch(norm, every=1) as probe:
        norm(x)
    (reading,) = [reading for reading in probe.readings if reading.kind == "norm"]
    assert reading.gap is not None
    assert reading.gap.mean_gap == pytest.approx(x.mean(0).square().mean().sqrt().item(), rel=1e-3)
    assert reading.gap.updates == 0
    assert reading.gap.left_share == 1.0
    assert reading.gap.cause == "few-updates"
    assert (reading.gap.values, reading.gap.samples) == (16, 16)


def test_drift_is_in_old_standard_deviations() -> None:
    model = nn.Sequential(nn.Identity(), nn.Hardtanh(-100, 100))
    x = torch.randn(ROWS, generator=torch.Generator().manual_seed(0))
    with pn.watch(model, every=1) as probe:
        model(x)
        model(x + x.std(0, correction=0))
        model(x * math.e)
    drifts = [r.before.drift for r in probe.readings if r.site == "1" and r.before is not None]
    assert drifts[0] is None
    assert drifts[1] == pytest.approx(1.0, rel=1e-4)
    with pn.watch(model, every=1) as probe:
        model(x - x.mean(0))
        model((x - x.mean(0)) * math.e)
    stretch = [r.before.drift for r in probe.readings if r.site == "1" and r.before is not None][1]
    assert stretch == pytest.approx(1.0, rel=1e-4)


def test_a_dead_unit_is_silent_at_all_looks_of_the_window() -> None:
    model = nn.Sequential(nn.Identity(), nn.ReLU())
    quiet, loud = -torch.ones(4, 2), torch.tensor([[1.0, -1.0]]).expand(4, 2)
    with pn.watch(model, every=1, window=3) as probe:
        for x in (loud, quiet, quiet, quiet):
            model(x)
    counts = [(r.activity.silent, r.activity.dead, r.activity.window) for r in probe.readings if r.activity]
    assert counts == [(1, 1, 1), (2, 1, 2), (2, 1, 3), (2, 2, 3)]


def test_evaluation_is_read_apart_from_training() -> None:
    model = ConvNet()
    with pn.watch(model, every=2) as probe:
        train(model, 5, MAPS)
        model.eval()
        with torch.no_grad():
            for x, _ in batches(3, MAPS):
                model(x)
    history = probe.history
    assert (history.steps, history.evaluations) == (5, 3)
    assert [look.step for look in history.looks_in("training")] == [0, 2, 4]
    assert [look.step for look in history.looks_in("evaluation")] == [5, 5]
    assert all(r.gap is None or not r.gap.uses_batch for r in history.last_readings("evaluation"))


@pytest.mark.parametrize("level", LEVELS)
def test_levels_read_more_and_more(level: str) -> None:
    model = ConvNet()
    with pn.watch(model, every=1, level=level) as probe:  # type: ignore[arg-type]
        train(model, 3, MAPS)
    last = {reading.site: reading for reading in probe.history.last_readings()}
    assert last["norm1"].gap is not None
    assert (":relu_1" in last) is (level != "light")
    if level != "light":
        relu = last[":relu_1"]
        assert relu.activity is not None
        assert relu.after is not None
        assert relu.after.drift is not None
        assert (relu.after.skewness is not None) is (level == "full")


# -- what is left as it was


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("every", [1, 3])
def test_trained_weights_are_the_same_to_the_last_bit(level: str, every: int) -> None:
    class Net(ConvNet):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(super().forward(x), 0.2, self.training)

    plain = Net()
    watched = copy.deepcopy(plain)
    torch.manual_seed(1)
    train(plain, 12, MAPS)
    after_plain = torch.get_rng_state()
    torch.manual_seed(1)
    with pn.watch(watched, every=every, level=level):  # type: ignore[arg-type]
        train(watched, 12, MAPS)
    assert torch.equal(torch.get_rng_state(), after_plain)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_no_hook_is_left_and_none_is_there_between_looks() -> None:
    model = ConvNet()
    with pn.watch(model, every=4) as probe:
        train(model, 6, MAPS)
        assert count_hooks(model) == 5  # four on the network, one on the first weight
    assert count_hooks(model) == 0
    assert probe.history.steps == 6


@pytest.mark.parametrize("where", ["forward", "backward", "loop"])
def test_no_hook_is_left_after_an_exception(where: str) -> None:
    class Net(ConvNet):
        fails = False

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.norm1(self.conv1(x)))
            if self.fails:
                raise RuntimeError("in the middle")
            return self.head(x.mean((2, 3)))

    def spoil(step: int, model: nn.Module, loss: Tensor) -> Tensor:
        if step == 2 and where == "backward":
            loss.register_hook(_raise)
        if step == 2 and where == "loop":
            raise RuntimeError("in the loop")
        model.fails = step == 1 and where == "forward"  # type: ignore[assignment]
        return loss

    model = Net()
    with pytest.raises(RuntimeError, match="in the"), pn.watch(model, every=1) as probe:
        train(model, 6, MAPS, spoil=spoil)
    assert count_hooks(model) == 0
    assert torch.overrides._get_current_function_mode_stack() == []
    assert len(probe.history.looks) >= 2
    x = torch.zeros(MAPS)
    model.fails = False
    model.eval()
    assert torch.equal(model(x), model(x))


def _raise(gradient: Tensor) -> None:
    raise RuntimeError("in the backward pass")


def test_a_forward_that_raised_and_was_caught_does_not_end_the_watch() -> None:
    model = ModuleNet()
    with pn.watch(model, every=1) as probe:
        model(IMAGES)
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, 5, 8, 8))
        assert torch.overrides._get_current_function_mode_stack() == []
        model(IMAGES)
    assert [look.step for look in probe.history.looks] == [0, 2]
    assert len({len(look.readings) for look in probe.history.looks}) == 1


def test_a_forward_that_was_interrupted_is_cleaned_up_at_the_next() -> None:
    class Net(nn.Module):
        interrupted = True

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = self.layer(x)
            if self.interrupted:
                raise KeyboardInterrupt
            return x

    model = Net()
    with pn.watch(model, every=1) as probe:
        with pytest.raises(KeyboardInterrupt):
            model(torch.ones(ROWS))
        model.interrupted = False
        model(torch.ones(ROWS))
    assert count_hooks(model) == 0
    assert torch.overrides._get_current_function_mode_stack() == []
    assert [look.step for look in probe.history.looks] == [1]


def test_no_graph_and_no_activation_is_kept() -> None:
    model = perceptron(norm=True)
    kept: list[weakref.ref[Tensor]] = []
    with pn.watch(model, every=1, level="full") as probe:
        handle = model[1].register_forward_hook(lambda module, args, output: kept.append(weakref.ref(output)))
        model(torch.randn(ROWS)).sum().backward()
        handle.remove()
        gc.collect()
        assert kept[0]() is None
    assert len(probe.readings) > 0


def test_a_second_watch_inside_sees_the_same() -> None:
    model = ConvNet()
    with pn.watch(model, every=1) as outer, pn.watch(model, every=1) as inner:
        train(model, 3, MAPS)
    assert outer.history == inner.history
    assert count_hooks(model) == 0


# -- how much is kept


def test_memory_is_bounded_over_ten_thousand_steps() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1))
    x = torch.randn(4, 2)
    with pn.watch(model, every=4) as probe:
        for _ in range(10_000):
            model(x).sum().backward()
    history = probe.history
    assert (history.steps, history.looks_made) == (10_000, 2_500)
    assert len(history.looks) <= ledger.MAX_LOOKS + 1
    assert len(probe.readings) <= ledger.MAX_READINGS
    assert len(history.gradients) <= 1001
    assert (history.looks[0].step, history.looks[-1].step) == (0, 9_996)
    assert {site.looks for site in history.sites} == {2_500}


@pytest.mark.parametrize("limit", [2, 3, 16])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 100, 1000])
def test_thinned_lists_keep_the_first_and_the_last_evenly_spread(limit: int, count: int) -> None:
    thinned: ThinnedList[int] = ThinnedList(limit)
    for item in range(count):
        thinned.add(item)
    items = thinned.items()
    assert len(items) <= limit + 1
    assert (items[0], items[-1], thinned.added) == (0, count - 1, count)
    steps = {second - first for first, second in pairwise(items[:-1])}
    assert len(steps) <= 1
    if count <= limit:
        assert items == list(range(count))


def test_many_calls_make_fewer_looks_kept() -> None:
    thinned: ThinnedList[int] = ThinnedList(500)
    for item in range(400):
        thinned.add(item)
    thinned.shrink(16)
    assert len(thinned.items()) <= 17
    assert (thinned.items()[0], thinned.items()[-1]) == (0, 399)


def test_calls_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("placenorm.probe.looking.MAX_SITES", 1)
    model = perceptron()
    with pn.watch(model, every=1) as probe:
        model(torch.randn(ROWS)).sum().backward()
    assert probe.history.unread == 2
    assert "2 calls not read" in probe.table()


def test_gradient_norms_that_wait_are_moved_before_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_MOST_WAITING", 4)
    model = perceptron()
    with Watcher(model, every=100) as watcher:
        train(model, 20, ROWS)
        assert len(watcher._waiting) <= 4
    assert [step.step for step in watcher.history().gradients] == list(range(20))


def test_a_long_spike_is_one_and_many_are_counted() -> None:
    track = GradientTrack()
    for step in range(10):
        track.add(step, 1.0)
    for step in range(10, 13):
        track.add(step, 1e5 * step)
    track.add(13, 1.0)
    track.add(14, math.nan)
    assert track.spikes_seen == 2
    assert (track.spikes[0].step, track.spikes[0].last_step, track.spikes[0].peak) == (10, 12, 1.2e6)
    assert track.spikes[1].peak is None
    assert track.course.items()[-1].norm is None


# -- whom it can watch


def test_data_parallel_on_a_processor_and_what_is_in_it() -> None:
    inner = ConvNet()
    model = nn.DataParallel(inner)
    with pn.watch(model, every=1) as probe:
        train(model, 2, MAPS)
    assert probe.history.model == "ConvNet"
    assert "norm1" in {reading.site for reading in probe.readings}


def test_distributed_data_parallel_is_watched_inside(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(ConvNet())
        with pn.watch(model, every=2) as probe:
            train(model, 5, MAPS)
    finally:
        torch.distributed.destroy_process_group()
    assert [look.step for look in probe.history.looks] == [0, 2, 4]
    assert count_hooks(model.module) == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.compile(ConvNet()), "Cannot watch ConvNet, which is compiled"),
        (lambda: nn.Sequential(torch.compile(nn.Linear(2, 2))), "whose 0 is compiled"),
        (lambda: "cnn", "Cannot watch a str"),
    ],
    ids=["compiled", "a part of it compiled", "no module"],
)
def test_what_cannot_be_watched_is_refused_in_a_sentence(make: object, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        pn.watch(make())  # type: ignore[operator]


def test_a_model_that_compiles_itself_is_refused() -> None:
    model = ConvNet()
    model.compile()
    with pytest.raises(ModelError, match="which is compiled"):
        pn.watch(model)


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"every": 1.5}, {"every": True}, {"window": 0}, {"level": "loud"}], ids=str
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Cannot watch"):
        pn.watch(ConvNet(), **options)  # type: ignore[arg-type]


def test_a_watch_that_saw_nothing_says_so() -> None:
    with pytest.warns(NoEffectWarning, match="No forward pass of ConvNet was seen"), pn.watch(ConvNet()) as probe:
        pass
    assert probe.findings() == ()
    assert "No forward pass" in probe.table()


def test_a_watch_is_entered_once() -> None:
    probe = pn.watch(ConvNet())
    with pytest.raises(UsageError, match="on already"), probe:
        probe.__enter__()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_any_floating_type_is_read(dtype: torch.dtype) -> None:
    model = perceptron(norm=True).to(dtype)
    x = torch.randn(ROWS, dtype=dtype)
    with pn.watch(model, every=1, level="full") as probe:
        model(x).sum().backward()
    assert all(reading.finite_after for reading in probe.readings)
    assert probe.history.looks[0].gradient_norm is not None


def test_tokens_nothing_and_nests_are_taken_as_they_are() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.norm = nn.BatchNorm1d(4)

        def forward(self, tokens: Tensor, *, scale: float = 1.0) -> dict[str, Tensor | None]:
            return {"nothing": None, "logits": self.norm(self.embedding(tokens) * scale)}

    with pn.watch(Net(), every=1) as probe:
        probe._watcher._model(torch.arange(8), scale=2.0)
    assert [reading.site for reading in probe.readings] == ["norm", "output"]


def test_a_module_called_a_hundred_times_has_a_hundred_sites() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(100):
                x = self.relu(x) - 0.001
            return x

    with pn.watch(Net(), every=1) as probe:
        probe._watcher._model(torch.ones(ROWS))
    assert [r.site for r in probe.readings if r.kind == "activation"][::99] == ["relu", "relu#100"]


def test_gradient_accumulation_counts_forwards() -> None:
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pn.watch(model, every=2) as probe:
        for _ in range(3):
            optimizer.zero_grad()
            for x, _ in batches(4, ROWS):
                model(x).sum().backward()
            optimizer.step()
    assert probe.history.steps == 12
    assert len(probe.history.gradients) == 12


def test_frozen_parameters_leave_the_gradient_to_the_others() -> None:
    model = perceptron()
    model[0].requires_grad_(False)
    with pn.watch(model, every=2, level="light") as probe:
        train(model, 6, ROWS)
    assert len(probe.history.gradients) == 6
    model.requires_grad_(False)
    with pn.watch(model, every=2) as probe, torch.no_grad():
        model(torch.randn(ROWS))
    assert probe.history.gradients == ()


# -- what is written


def test_reports_are_written_in_three_forms(tmp_path: Path) -> None:
    model = SharedReLU()
    with torch.no_grad():
        model.first.bias.fill_(-100.0)
    with pn.watch(model, every=2, level="full") as probe:
        train(model, 30, (32, 6))
    page = probe.report(tmp_path / "watch.html").read_text()
    assert "dying-units" in page
    assert "relu#2" in page
    assert "http-equiv" in page
    assert page.count("<script") == 3  # of the page itself: the charts, what draws them, and what copies code
    facts = loads(Watched, probe.report(tmp_path / "watch.json").read_text(), "watch.json")
    assert facts.history == probe.history
    assert facts.findings == probe.findings()
    text = probe.report(tmp_path / "watch.txt").read_text()
    assert "BN401 dying-units" in text
    with pytest.raises(UsageError, match=r"ends in \.html, \.json or \.txt"):
        probe.report(tmp_path / "watch.png")


def test_a_page_escapes_what_users_call_things(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<b>relu</b>", nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("<b>relu</b>")(x)

    model = Net()
    with pn.watch(model, every=1) as probe:
        model(torch.ones(ROWS))
        model(torch.ones(ROWS))
    page = probe.report(tmp_path / "page.html").read_text()
    assert "<b>relu</b>" not in page
    assert "&lt;b&gt;relu&lt;/b&gt;" in page
    assert "[b]" not in probe.table()


def test_the_log_holds_every_look_while_the_loop_runs(tmp_path: Path) -> None:
    model, path = perceptron(), tmp_path / "deep" / "log.jsonl"
    with pn.watch(model, every=2, log=path) as probe:
        train(model, 6, ROWS)
        lines = path.read_text().splitlines()
        assert len(lines) == 2  # the third look is still open
    looks = [loads(Look, line, str(path)) for line in path.read_text().splitlines()]
    assert tuple(looks) == probe.history.looks
    assert [json.loads(line)["fact"]["step"] for line in lines] == [0, 2]


def test_a_log_that_cannot_grow_ends_and_the_training_goes_on(tmp_path: Path) -> None:
    look = Look(0, "training", 4, None, None, None, None, ())
    log = LooksLog(tmp_path / "log.jsonl", limit_bytes=2 * len(dumps(look)) + 2)
    log.add(look)
    log.add(look)
    with pytest.warns(PlacenormWarning, match="it has reached its limit"):
        log.add(look)
    log.add(look)
    log.close()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_log_in_a_place_that_is_none_leaves_no_hook(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = ConvNet()
    with pytest.raises(StoreError, match="name another place"), pn.watch(model, log=tmp_path / "file" / "log.jsonl"):
        pass
    assert count_hooks(model) == 0


def test_the_live_line_says_how_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    model = perceptron()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    with pn.watch(model, every=1, live=True):
        train(model, 12, ROWS)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step 12" in captured.err
    assert "| BN401" in captured.err


# -- what others do with a watched network


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


BATCH = torch.randn(64, 8, generator=torch.Generator().manual_seed(7))
LABELS = torch.randint(2, (64,), generator=torch.Generator().manual_seed(8))  # there is nothing to learn but by heart


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor = BATCH, times: float = 1.0) -> float:
    loss = F.cross_entropy(model(batch), LABELS) * times
    optimizer.zero_grad()
    if loss.isfinite():
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("settings", [{}, {"log": "looks.jsonl"}, {"live": True}], ids=["plain", "log", "live"])
def test_watched_network_is_copied_and_saved_without_its_watch(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the best checkpoint, or an averaged copy: what runs in a copy is not seen."""
    monkeypatch.chdir(tmp_path)
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pn.watch(model, every=1, **settings) as probe:
        take_step(model, optimizer)
        copied = copy.deepcopy(model)
        averaged = torch.optim.swa_utils.AveragedModel(model)
        torch.save(model, tmp_path / "model.pt")
        loaded = torch.load(tmp_path / "model.pt", weights_only=False)
        seen = probe.history.steps
        for other in (copied, averaged, loaded):
            other(BATCH).sum().backward()
        assert probe.history.steps == seen
        take_step(model, optimizer)
        assert probe.history.steps == seen + 1
    torch.testing.assert_close(loaded.state_dict()["0.weight"], copied.state_dict()["0.weight"])


def test_watch_that_is_over_cannot_be_entered_again(tmp_path: Path) -> None:
    model, log = small(), tmp_path / "looks.jsonl"
    with pn.watch(model, every=1, log=log) as probe:
        model(BATCH)
    written = log.read_text()
    assert written
    with pytest.raises(UsageError, match=r"This watch is over: call pn\.watch again"), probe:
        pass
    assert log.read_text() == written


def test_network_that_returns_nothing_is_looked_at() -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small()

        def forward(self, x: Tensor) -> None:
            self.kept = self.body(x)

    model = Silent()
    with pn.watch(model, every=1) as probe:
        for _ in range(3):
            model(BATCH)
    assert len(probe.history.looks) == 3


def test_running_statistics_that_became_no_number_between_looks_are_found() -> None:
    """A guard against a loss that is no number skips the step, and the norm has taken the batch in all the same."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    bad = BATCH.clone()
    bad[0, 0] = torch.nan
    with pn.watch(model, every=10) as probe:
        for step in range(40):
            take_step(model, optimizer, bad if step == 23 else BATCH)
    (found,) = [finding for finding in probe.findings() if finding.code == "BN405"]
    assert found.sites == ("1",)
    assert "at step 30 in training, in the running statistics of 1" in found.text


def test_network_that_is_thrown_far_off_has_not_come_back() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pn.watch(model, every=5) as probe:
        before = [take_step(model, optimizer) for _ in range(60)][-1]
        take_step(model, optimizer, times=1e6)
        after = [take_step(model, optimizer) for _ in range(40)]
    assert after[-1] > 100 * before
    (found,) = [finding for finding in probe.findings() if finding.code == "BN402"]
    assert found.severity == "warning"
    assert "It has not settled: at the end the gradient is still" in found.text


def test_values_that_are_no_numbers_to_the_end_are_no_recovery() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pn.watch(model, every=10) as probe:
        for step in range(60):
            loss = F.cross_entropy(model(BATCH), LABELS) * (torch.nan if step == 33 else 1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    (found,) = [finding for finding in probe.findings() if finding.code == "BN402"]
    assert found.severity == "error"
    assert "The network did not come back" in found.text


def test_output_that_is_the_same_for_all_samples_beside_one_that_listens_is_no_fault() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small()
            self.register_buffer("anchors", torch.ones(1, 4))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"anchors": self.anchors.expand(len(x), 4), "logits": self.body(x)}

    model = Detector()
    with pn.watch(model, every=1) as probe:
        for _ in range(6):
            model(BATCH)["logits"].sum().backward()
    assert "BN403" not in {finding.code for finding in probe.findings()}


def test_two_forwards_that_share_a_backward_pass_have_a_gradient() -> None:
    model = small()
    with pn.watch(model, every=2) as probe:
        for _ in range(6):
            (model(BATCH) - model(-BATCH)).square().mean().backward()
    assert [look.gradient_norm is None for look in probe.history.looks] == [False] * 6
