"""Every rule of `watch`: a fault planted in a training that it finds at the right site, and the same without it."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import placenorm as pn
from placenorm.facts.finding import SEVERITIES, Finding
from placenorm.rules.rule import TrainingRule
from placenorm.rules.training import TRAINING_RULES
from placenorm.verbs.watching import Probe
from support.rule_pages import SECTIONS
from support.watched import ConvNet, SharedReLU, batches, named, perceptron, watch_training

IMAGES = (16, 1, 8, 8)
ROWS = (32, 6)


def faults(probe: Probe) -> set[str]:
    """Return the names of the rules that warn."""
    return {finding.rule for finding in probe.findings() if finding.severity != "info"}


@pytest.mark.parametrize("rule", TRAINING_RULES, ids=lambda rule: rule.name)
def test_every_training_rule_has_a_page_and_a_code(rule: TrainingRule) -> None:
    page = rule.look.__doc__ or ""
    heads = re.findall(r"^    ([A-Z][a-z ]+):$", page, re.MULTILINE)
    assert tuple(heads) == SECTIONS
    assert page.startswith("Yield a finding")
    assert re.fullmatch(r"BN4\d\d", rule.code)


def test_codes_and_names_of_training_rules_are_their_own() -> None:
    assert (
        len({rule.code for rule in TRAINING_RULES})
        == len({rule.name for rule in TRAINING_RULES})
        == len(TRAINING_RULES)
    )


@pytest.mark.parametrize("level", ["light", "standard", "full"])
@pytest.mark.parametrize(
    ("model", "shape"),
    [(ConvNet(), IMAGES), (perceptron(norm=True), ROWS), (SharedReLU(), ROWS), (perceptron(), ROWS)],
    ids=["conv net", "mlp with norms", "shared relu", "mlp"],
)
def test_a_sound_training_is_silent(model: nn.Module, shape: tuple[int, ...], level: str) -> None:
    assert faults(watch_training(model, 100, shape, level=level)) == set()


# -- dying units


def test_a_relu_that_is_wholly_dead_is_found_where_it_is() -> None:
    model = ConvNet()
    with torch.no_grad():
        model.norm2.bias.fill_(-50.0)
    probe = watch_training(model, 40, IMAGES)
    (finding,) = named(probe.findings(), "dying-units")
    assert finding.sites == (":relu_2",)
    assert finding.severity == "error"
    assert finding.evidence == {"dead share, :relu_2": 1.0}


def test_the_first_call_of_a_shared_relu_is_not_hidden_by_the_second() -> None:
    model = SharedReLU()
    with torch.no_grad():
        model.first.bias.fill_(-100.0)
    finding = named(watch_training(model, 40, ROWS).findings(), "dying-units")[0]
    assert (finding.sites, finding.severity) == (("relu",), "error")


def test_the_second_call_of_a_shared_relu_is_told_apart_from_the_first() -> None:
    model = SharedReLU()
    with torch.no_grad():
        model.second.bias.fill_(-100.0)
    (finding,) = named(watch_training(model, 40, ROWS).findings(), "dying-units")
    assert finding.sites == ("relu#2",)


def test_some_dead_units_warn_and_say_since_when() -> None:
    model = perceptron()

    def kill(step: int, model: nn.Module, loss: Tensor) -> Tensor:
        if step == 20:
            with torch.no_grad():
                model[0].bias[:4] = -100.0  # type: ignore[index]
        return loss

    (finding,) = named(watch_training(model, 80, ROWS, spoil=kill).findings(), "dying-units")
    assert finding.sites == ("1",)
    assert finding.severity == "warning"
    assert finding.evidence["dead share, 1"] == 0.25
    assert "At step 0 0 % were silent, at step 78 25 %" in finding.text


def test_a_norm_between_keeps_units_alive_though_raw_outputs_are_all_negative() -> None:
    model = ConvNet()
    with torch.no_grad():
        model.conv1.bias.fill_(-100.0)
        model.conv2.bias.fill_(-100.0)
        assert (model.conv1(next(batches(1, IMAGES))[0]) < 0).all()
    assert named(watch_training(model, 40, IMAGES).findings(), "dying-units") == []


def test_units_that_saw_few_values_are_not_called_dead() -> None:
    model = perceptron()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    assert named(watch_training(model, 20, (2, 6)).findings(), "dying-units") == []


# -- exploding gradient


def explode_at(step: int, factor: float = 1e6):  # type: ignore[no-untyped-def]
    return lambda now, model, loss: loss * factor if now == step else loss


@pytest.mark.parametrize("level", ["light", "standard"])
@pytest.mark.parametrize("step", [4, 33, 55])
def test_one_step_of_an_exploding_gradient_is_found_between_looks(level: str, step: int) -> None:
    model = perceptron(norm=True)
    probe = watch_training(model, 80, ROWS, every=10, level=level, rate=0.0, spoil=explode_at(step))
    (finding,) = named(probe.findings(), "exploding-gradient")
    assert finding.evidence["first step"] == step
    assert finding.evidence["spikes"] == 1
    assert 1e5 < finding.evidence["peak norm"] / finding.evidence["usual norm"] < 1e7
    (spike,) = probe.history.spikes
    assert (spike.step, spike.last_step) == (step, step)


def test_a_network_that_came_back_is_said_to_be_back() -> None:
    model = perceptron(norm=True)

    def clip(step: int, model: nn.Module, loss: Tensor) -> Tensor:
        return loss * 1e6 if step == 33 else loss

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with pn.watch(model, every=10) as probe:
        for step, (x, y) in enumerate(batches(80, ROWS)):
            optimizer.zero_grad()
            clip(step, model, nn.functional.cross_entropy(model(x), y)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    (finding,) = named(probe.findings(), "exploding-gradient")
    assert finding.severity == "info"
    assert "came back: at step 70" in finding.text


def test_a_network_that_did_not_come_back_is_an_error() -> None:
    probe = watch_training(perceptron(), 80, ROWS, every=10, spoil=explode_at(33))
    (finding,) = named(probe.findings(), "exploding-gradient")
    assert finding.severity == "error"
    assert "did not come back" in finding.text


def test_what_was_broken_before_the_spike_is_not_its_doing() -> None:
    model = perceptron()
    with torch.no_grad():
        model[2].bias.fill_(-1000.0)
    probe = watch_training(model, 60, ROWS, every=10, rate=0.0, spoil=explode_at(33))
    (finding,) = named(probe.findings(), "exploding-gradient")
    assert finding.severity == "warning"
    assert "so it was before the spike" in finding.text


@pytest.mark.parametrize("factor", [20.0, 0.01], ids=["twenty times", "a hundredth"])
def test_a_gradient_that_only_varies_is_silent(factor: float) -> None:
    probe = watch_training(perceptron(), 80, ROWS, rate=0.001, spoil=explode_at(33, factor))
    assert named(probe.findings(), "exploding-gradient") == []


def test_a_gradient_of_no_number_is_a_spike() -> None:
    def divide(step: int, model: nn.Module, loss: Tensor) -> Tensor:
        return loss * float("inf") if step == 33 else loss

    probe = watch_training(perceptron(), 80, ROWS, every=10, spoil=divide)
    (finding,) = named(probe.findings(), "exploding-gradient")
    assert finding.evidence["first step"] == 33
    assert "held a value that is no number" in finding.text
    (broken,) = named(probe.findings(), "not-finite")
    assert broken.evidence["step"] == 40


# -- the output


def test_an_output_that_no_longer_depends_on_the_input_is_found() -> None:
    model = perceptron()
    with torch.no_grad():
        model[2].bias.fill_(-1000.0)
    (finding,) = named(watch_training(model, 20, ROWS).findings(), "constant-output")
    assert finding.sites == ("output",)
    assert "All units of 3 are silent" in finding.text


def test_the_same_input_for_all_samples_is_no_fault_of_the_network() -> None:
    model = perceptron()
    with pn.watch(model, every=1) as probe:
        for _ in range(5):
            model(torch.ones(ROWS)).sum().backward()
    assert named(probe.findings(), "constant-output") == []


# -- drift


def test_a_site_that_keeps_moving_is_found() -> None:
    model = perceptron()
    with pn.watch(model, every=1) as probe:
        for step, (x, _) in enumerate(batches(40, ROWS)):
            with torch.no_grad():
                model[0].bias.fill_(1.0 + 2.0 * step)
            model(x).sum().backward()
    (finding,) = named(probe.findings(), "unsettled-drift")
    assert finding.sites[0] == "1"
    assert finding.evidence["drift, 1"] > 0.5


def test_a_site_that_moves_at_first_and_settles_is_silent() -> None:
    model = perceptron()
    with pn.watch(model, every=1) as probe:
        for step, (x, _) in enumerate(batches(40, ROWS)):
            with torch.no_grad():
                model[0].bias.fill_(1.0 + 2.0 * min(step, 15))
            model(x).sum().backward()
    assert named(probe.findings(), "unsettled-drift") == []


def test_small_batches_alone_are_no_drift() -> None:
    model = perceptron()
    with pn.watch(model, every=1) as probe:
        for x, _ in batches(40, (3, 6)):
            model(x).sum().backward()
    assert named(probe.findings(), "unsettled-drift") == []


# -- values that are no numbers


def test_the_first_site_with_nan_is_named() -> None:
    class Net(ConvNet):
        broken = False

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.norm1(self.conv1(x)))
            x = self.conv2(x)
            if self.broken:
                x = x / 0.0 * 0.0
            return self.head(torch.relu(self.norm2(x)).mean((2, 3)))

    model = Net()
    with pn.watch(model, every=1) as probe:
        for step, (x, _) in enumerate(batches(8, IMAGES)):
            model.broken = step == 5
            model(x).sum().backward()
    (finding,) = named(probe.findings(), "not-finite")
    assert finding.sites == ("norm2",)
    assert finding.evidence["step"] == 5
    assert "the input of norm2" in finding.text


# -- saturated units


def test_saturated_units_are_found_and_sound_ones_are_silent() -> None:
    model = perceptron(activation=nn.Tanh)
    with torch.no_grad():
        model[0].weight.mul_(100.0)
    (finding,) = named(watch_training(model, 20, ROWS).findings(), "saturated-units")
    assert finding.sites == ("1",)
    assert finding.evidence["saturated share, 1"] > 0.5
    sound = watch_training(perceptron(activation=nn.Tanh), 20, ROWS)
    assert named(sound.findings(), "saturated-units") == []


def test_the_last_activation_may_be_sure_of_itself() -> None:
    model = nn.Sequential(*perceptron(), nn.Sigmoid())
    with torch.no_grad():
        model[4].weight.mul_(1000.0)
    assert named(watch_training(model, 20, ROWS, rate=0.0).findings(), "saturated-units") == []


# -- statistics


def lagging(probe: Probe) -> list[Finding]:
    return named(probe.findings(), "lagging-statistics")


def test_few_updates_for_the_momentum_are_found() -> None:
    (finding,) = lagging(watch_training(ConvNet(momentum=0.1), 12, IMAGES))
    assert finding.sites == ("norm1", "norm2")
    assert "few" not in finding.text
    assert "at momentum 0.1" in finding.text
    assert finding.evidence["left share"] == pytest.approx(0.9 ** finding.evidence["updates"])


def test_few_updates_of_what_needs_none_are_silent() -> None:
    """The data are already what running statistics start from."""
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3))
    with pn.watch(model, every=1) as probe:
        for _ in range(6):
            model(torch.randn((16, 1, 8, 8), generator=torch.Generator().manual_seed(0))).sum().backward()
    assert lagging(probe) == []


def test_a_momentum_of_the_other_convention_is_found() -> None:
    (finding,) = lagging(watch_training(perceptron(norm=True, momentum=0.99), 60, (8, 6)))
    assert finding.sites[0] == "1"
    assert "rest on 1.02 batches" in finding.text
    assert lagging(watch_training(perceptron(norm=True, momentum=0.1), 60, (8, 6))) == []


def test_a_network_that_moves_faster_than_its_statistics_is_found() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16, momentum=0.05), nn.Linear(16, 3))
    with pn.watch(model, every=2) as probe:
        for step, (x, _) in enumerate(batches(100, ROWS)):
            with torch.no_grad():
                model[0].bias.fill_(0.2 * step)
            model(x).sum().backward()
    (finding,) = lagging(probe)
    assert finding.sites == ("1",)
    assert "moves faster" in finding.text


def test_biased_against_unbiased_variance_is_told_from_noise() -> None:
    """Each batch is a value and its opposite: the mean is exact, the variance is not."""
    model = nn.BatchNorm1d(4)
    with pn.watch(model, every=1) as probe:
        for _ in range(200):
            x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
            model(torch.cat([x, -x])).sum()
    (finding,) = lagging(probe)
    assert "divides a batch by is 50 % smaller" in finding.text


def evaluate(model: nn.Module, count: int, shift: float) -> None:
    model.eval()
    with torch.no_grad():
        for x, _ in batches(count, IMAGES, seed=1):
            model(x + shift)


@pytest.mark.parametrize(("shift", "found"), [(4.0, True), (0.0, False)], ids=["other data", "the same data"])
def test_other_data_in_evaluation_are_found(shift: float, found: bool) -> None:
    model = ConvNet()
    with pn.watch(model, every=2) as probe:
        for x, y in batches(60, IMAGES):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
        evaluate(model, 6, shift)
    findings = named(probe.findings(), "shifted-evaluation")
    assert bool(findings) is found
    if found:
        assert findings[0].sites[0] == "norm1"
        assert "The network's input differs already" in findings[0].text


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 6), "as few as 2 values"), ((2, 1, 8, 8), "at most two samples")],
    ids=["values", "samples"],
)
def test_a_batch_of_two_is_found(shape: tuple[int, ...], words: str) -> None:
    model = perceptron(norm=True) if len(shape) == 2 else ConvNet()
    (finding,) = named(watch_training(model, 10, shape).findings(), "tiny-batch")
    assert words in finding.text


def test_a_short_last_batch_is_no_tiny_batch() -> None:
    model = ConvNet()
    with pn.watch(model, every=1) as probe:
        for size in (16, 16, 16, 2) * 3:
            model(next(batches(1, (size, 1, 8, 8)))[0]).sum().backward()
    assert named(probe.findings(), "tiny-batch") == []


def test_norms_under_activation_checkpointing_are_found() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = perceptron(norm=True)
            self.tail = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.tail(checkpoint(self.block, x, use_reentrant=False))

    probe = watch_training(Net(), 20, ROWS)
    (finding,) = named(probe.findings(), "repeated-update")
    assert finding.sites == ("block.1", "block.4")
    assert finding.evidence["updates per call, block.1"] == pytest.approx(2.0)
    assert "momentum to 0.051" in finding.text


def test_a_norm_that_is_called_twice_a_step_is_updated_twice() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(6)
            self.head = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(torch.relu(self.norm(x))))

    assert named(watch_training(Net(), 20, ROWS).findings(), "repeated-update") == []


@pytest.mark.parametrize(("offset", "found"), [(5.0, True), (0.0, False)], ids=["moved away", "still fits"])
def test_a_frozen_norm_whose_data_moved_away_is_found(offset: float, found: bool) -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    for x, _ in batches(100, ROWS):
        model(x)
    with torch.no_grad():
        model[0].bias.add_(offset)
    with pn.watch(model, every=1) as probe:
        for x, _ in batches(12, ROWS):
            model.train()
            model[1].eval()
            model(x).sum().backward()
    findings = named(probe.findings(), "drifted-frozen-norm")
    assert [finding.sites for finding in findings] == ([("1",)] if found else [])


def test_findings_are_sorted_by_how_bad_they_are() -> None:
    model = perceptron()
    with torch.no_grad():
        model[2].bias.fill_(-1000.0)
    severities = [finding.severity for finding in watch_training(model, 20, ROWS).findings()]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert severities[0] == "error"
