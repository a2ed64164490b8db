"""An optimizer that was built for a model goes on with what the model was rewritten into."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from placenorm.errors import UsageError


@dataclass(frozen=True, slots=True)
class ParameterMap:
    """Which parameters of a model became which.

    Attributes:
        kept: parameters as they were given, each with what it is now.
        gone: parameters that are no more.
        added: new parameters, each with the given one beside which it stands: an optimizer treats both alike.
        touched: which of the kept ones (by their ids now) have other values than before.
    """

    kept: tuple[tuple[nn.Parameter, nn.Parameter], ...] = ()
    gone: tuple[nn.Parameter, ...] = ()
    added: tuple[tuple[nn.Parameter, nn.Parameter | None], ...] = ()
    touched: frozenset[int] = frozenset()

    def translate(self, copies: Mapping[int, object], given: nn.Module) -> "ParameterMap":
        """Return it for the model of which a copy was rewritten.

        Args:
            copies: what each object became when the model was copied, by its id (the memo of `copy.deepcopy`).
            given: the model that was copied.
        """
        original = {id(copies[id(parameter)]): parameter for parameter in given.parameters()}

        def back(parameter: nn.Parameter) -> nn.Parameter:
            return original.get(id(parameter), parameter)

        return replace(
            self,
            kept=tuple((back(before), now) for before, now in self.kept),
            gone=tuple(back(before) for before in self.gone),
            added=tuple((new, None if beside is None else back(beside)) for new, beside in self.added),
        )


def remap_optimizer(optimizer: Optimizer, parameters: ParameterMap) -> None:
    """Let an optimizer go on with the parameters of a rewritten model, in place.

    Each parameter stays in its group with its state. Parameters that are no more leave with theirs. New ones join the
    group of what they stand beside, and have no state yet; if no group holds that (a frozen weight, for one), they join
    none. Those whose values were changed (a norm was taken into them) lose their state: momentum of the old values
    would lead astray. What belongs to other models stays. Where the optimizer keeps parameters of one axis (gammas,
    biases) in groups of their own, as for weight decay, new ones of one axis join such a group.

    Args:
        optimizer: any torch optimizer built over the model as it was given.
        parameters: which parameters became which.

    Raises:
        UsageError: if it is no optimizer, or holds none of the model's parameters.
    """
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"Cannot remap a {type(optimizer).__name__}: give the torch optimizer of the model.")
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    given = {id(before) for before, _ in parameters.kept} | {id(parameter) for parameter in parameters.gone}
    after_all = {id(after) for _, after in parameters.kept}
    if given and not own & (given | after_all):
        raise UsageError(
            "Cannot remap this optimizer: it holds no parameter of the model that was placed; give the one that was "
            "built over that very model."
        )
    now = {id(before): after for before, after in parameters.kept}
    gone = {id(parameter) for parameter in parameters.gone}
    homes = [(new, _find_home(optimizer, new, beside)) for new, beside in parameters.added if beside is not None]
    for group in optimizer.param_groups:
        group["params"] = [now.get(id(p), p) for p in group["params"] if id(p) not in gone]
    for new, home in homes:
        if home is not None:
            home["params"].append(new)
    states = {parameter: optimizer.state.pop(parameter) for parameter in list(optimizer.state)}
    for parameter, state in states.items():
        after: Tensor = now.get(id(parameter), parameter)
        if id(parameter) not in gone and id(after) not in parameters.touched:
            optimizer.state[after] = state


def _find_home(optimizer: Optimizer, new: Tensor, beside: Tensor) -> dict[str, Any] | None:
    """Return the group that a new parameter joins; None if no group holds what it stands beside."""
    near = next((group for group in optimizer.param_groups if any(p is beside for p in group["params"])), None)
    if near is None or new.dim() > 1 or any(p.dim() <= 1 for p in near["params"]):
        return near
    flat = [group for group in optimizer.param_groups if group["params"] and all(p.dim() <= 1 for p in group["params"])]
    same_rate = [group for group in flat if group.get("lr") == near.get("lr")]
    return next(iter(same_rate or flat), near)
