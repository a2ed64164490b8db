"""Finds in the graph of one forward what stands beside its norms, and takes it out where a norm takes it in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from placenorm.graph.vocabulary import kind_of_call, kind_of_module, name_of_call
from placenorm.kernels.activations import IDENTITY, Activation
from placenorm.kernels.chain import BEHIND_ADDITION
from placenorm.kernels.pool_chain import MaxPool, PoolChain
from placenorm.rewrite.neighbours import (
    activation_of,
    addends_of,
    attached_norm,
    has_hooks,
    is_identity,
    makes_own_memory,
    pool_of,
    works_in_place,
)
from placenorm.rewrite.retracing import input_of

_KINDS = "placenorm_kinds"
"""Key of a node's notes: shape, type and device of what it returned, for each time that a `KindReader` ran it."""


@dataclass(frozen=True, slots=True)
class Taking:
    """What a norm takes in, in one forward; the same in both modes, or else it is not taken.

    Attributes:
        before: the activation in front.
        pool: the max pool between that and the norm.
        adds: whether a residual is added.
        after: the activation behind.
        pool_after: the max pool behind that.
        words: the calls in order, the norm among them, in the words of the forward.
        modules: of those calls, the paths of the modules that they call, from the owner.
    """

    before: Activation = IDENTITY
    pool: MaxPool | None = None
    adds: bool = False
    after: Activation = IDENTITY
    pool_after: MaxPool | None = None
    words: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is taken in."""
        return self.before == self.after == IDENTITY and self.pool is self.pool_after is None and not self.adds


@dataclass(slots=True)
class _Found:
    """The calls that a norm can take in: an activation and a pool in front; a sum, an activation and a pool behind."""

    act: fx.Node | None = None
    pool: fx.Node | None = None
    add: fx.Node | None = None
    last: fx.Node | None = None
    pool_after: fx.Node | None = None


class Surroundings:
    """One graph of an owner's forward, with the norms that hang on its children as calls of their own.

    Args:
        owner: the module whose forward it is.
        graph: the graph; `take` edits it, and `close` makes it ready to be installed. A sum is only taken in where a
            `KindReader` has run the graph.
    """

    def __init__(self, owner: nn.Module, graph: fx.Graph) -> None:
        self._owner = owner
        self.graph = graph
        self._gone: set[fx.Node] = set()
        for node in list(graph.nodes):
            self._show_attached(node)

    def calls_of(self, target: str) -> list[fx.Node]:
        """Return the calls of a child, by its path from the owner."""
        return [node for node in self.graph.nodes if node.op == "call_module" and str(node.target) == target]

    def find_targets(self, module: nn.Module) -> set[str]:
        """Return the paths from the owner by which its forward calls a module that no norm has taken in there."""
        calls = (node for node in self.graph.nodes if node.op == "call_module" and node not in self._gone)
        targets = {str(node.target) for node in calls}
        return {target for target in targets if self._owner.get_submodule(target) is module}

    def find(self, target: str) -> Taking:
        """Return what a norm that is called once can take in."""
        (node,) = self.calls_of(target)
        return self._describe(node, self._find(node))

    def explain(self, target: str) -> str:
        """Return why a norm that is called once takes nothing in: what stands beside it that it cannot take."""
        (node,) = self.calls_of(target)
        module: Any = self._owner.get_submodule(target)
        if len(node.args) != 1 or node.kwargs:
            return "it is called with more than its input"
        if isinstance(getattr(module, "act", None), nn.Module) and not isinstance(module.act, nn.Identity):
            return "it has an activation of its own"
        return ", and ".join(filter(None, (self._explain_front(node), self._explain_back(node))))

    def take(self, target: str) -> None:
        """Take out of the graph what a norm takes in."""
        (node,) = self.calls_of(target)
        found = self._find(node)
        for each in (found.act, found.pool):
            if each is not None:
                self._pass_by(each)
        if found.add is not None:
            self._join(node, found.add)
        for each in (found.last, found.pool_after):
            if each is not None:
                self._pass_by(each)

    def close(self) -> None:
        """Take the norms that hang on children out again: hooks call them."""
        for node in [node for node in self.graph.nodes if node.meta.get("attached")]:
            self._erase(node)

    # -- what stands there

    def _find(self, node: fx.Node) -> _Found:
        module: Any = self._owner.get_submodule(str(node.target))
        if has_hooks(module) or len(node.args) != 1 or node.kwargs:
            return _Found()
        held = getattr(module, "act", None)
        if isinstance(held, nn.Module) and not isinstance(held, nn.Identity):
            return _Found()  # a norm with an activation of its own takes no other
        front = self._find_front(node, pools=isinstance(module, nn.BatchNorm2d))
        if front.pool is not None:
            return front
        back = self._find_back(node, pools=isinstance(module, nn.BatchNorm2d))
        if back.last is not None or (back.pool_after is not None and front.act is None):
            return back
        return _Found(act=front.act, add=back.add)

    def _find_front(self, node: fx.Node, *, pools: bool) -> _Found:
        source = self._before(node)
        pool = None
        if source is not None and pools and pool_of(source, self._owner) is not None:
            pool, source = source, self._before(source)
        act = source if source is not None and self._can_leave(source) else None
        if pool is None:
            return _Found(act=act)
        if act is None:
            return _Found(pool=pool)
        activation, fused = activation_of(act, self._owner), pool_of(pool, self._owner)
        assert activation is not None
        assert fused is not None
        return _Found(act if PoolChain(fused, activation).is_monotone else None, pool)

    def _can_leave(self, act: fx.Node) -> bool:
        """Whether an activation can go from in front of a norm, which then reads what that read."""
        source = input_of(act)
        if source is None or activation_of(act, self._owner) is None or len(source.users) != 1:
            return False
        if works_in_place(act, self._owner):  # what it wrote into must be nobody else's
            return makes_own_memory(source, self._owner)
        return source.op.startswith("call_") and not self._is_written_behind(act, source)

    def _is_written_behind(self, act: fx.Node, source: fx.Node) -> bool:
        """Whether a later call may write into what an activation reads, which a norm would keep for its backward."""
        if makes_own_memory(source, self._owner):
            return False
        memory = self._memory_of(source)
        here = act.next
        while here.op != "root":
            written = input_of(here) if here.op.startswith("call_") and works_in_place(here, self._owner) else None
            if written is not None and not memory.isdisjoint(self._memory_of(written)):
                return True
            here = here.next
        return False

    def _memory_of(self, node: fx.Node) -> set[fx.Node]:
        """Return the values whose memory a value may be in: its own, and what it may be a view of."""
        found: set[fx.Node] = set()
        pending = [node]
        while pending:
            each = pending.pop()
            if each not in found:
                found.add(each)
                pending.extend(() if makes_own_memory(each, self._owner) else each.all_input_nodes)
        return found

    def _find_back(self, node: fx.Node, *, pools: bool) -> _Found:
        reader = self._behind(node)
        if reader is None:
            return _Found()
        act = reader if activation_of(reader, self._owner) is not None else None
        pool = reader if act is None else self._behind(act)
        if pool is not None and (not pools or pool_of(pool, self._owner) is None):
            pool = None
        if act is not None or pool is not None:
            return _Found(last=act, pool_after=pool)
        if node.meta.get("attached") or not self._can_add(node, reader):
            return _Found()
        last = self._behind(reader)
        activation = None if last is None else activation_of(last, self._owner)
        return _Found(add=reader, last=last if activation is not None and activation.name in BEHIND_ADDITION else None)

    def _can_add(self, node: fx.Node, add: fx.Node) -> bool:
        """Whether a norm can add the other addend: of its own shape and type, and nothing changes in between."""
        addends = addends_of(add)
        if addends is None:
            return False
        normed = next((each for each in addends if self._leads_from(each, node)), None)
        residual = next((each for each in addends if each is not normed), None)
        if normed is None or residual is None or self._leads_from(residual, node):
            return False
        kinds = node.meta.get(_KINDS)
        if kinds is None or residual.meta.get(_KINDS) != kinds:
            return False
        writes = works_in_place(add, self._owner) and addends[0] is residual
        if writes and (len(residual.users) != 1 or not makes_own_memory(residual, self._owner)):
            return False
        source = input_of(node)
        if source is None:
            return False
        alone = len(source.users) == 1 and makes_own_memory(source, self._owner)
        return alone or self._stands_beside(node, add)  # the norm runs later than it did, on what it then reads

    def _stands_beside(self, node: fx.Node, add: fx.Node) -> bool:
        here = node.next
        while here is not add:
            if here.op != "get_attr" and not self._hands_on(here):
                return False
            here = here.next
        return True

    def _leads_from(self, node: fx.Node, norm: fx.Node) -> bool:
        """Whether a value is a norm's, handed on by identities and read by nothing else."""
        while node is not norm:
            source = input_of(node)
            if not self._hands_on(node) or source is None or len(source.users) != 1:
                return False
            node = source
        return True

    def _before(self, node: fx.Node) -> fx.Node | None:
        """Return the call whose output a call alone reads, identities left out."""
        source = input_of(node)
        while source is not None and len(source.users) == 1 and self._hands_on(source):
            source = input_of(source)
        return source if source is not None and len(source.users) == 1 else None

    def _behind(self, node: fx.Node) -> fx.Node | None:
        """Return the one call that reads what a call returns, identities left out."""
        while len(node.users) == 1:
            reader = next(iter(node.users))
            if not self._hands_on(reader):
                return reader if reader.op.startswith("call_") else None
            node = reader
        return None

    def _hands_on(self, node: fx.Node) -> bool:
        return node in self._gone or is_identity(node, self._owner)

    def _describe(self, node: fx.Node, found: _Found) -> Taking:
        acts = {each: activation_of(each, self._owner) for each in (found.act, found.last) if each is not None}
        pool, pool_after = (
            None if each is None else pool_of(each, self._owner) for each in (found.pool, found.pool_after)
        )
        ordered = found.act, found.pool, node, found.add, found.last, found.pool_after
        calls = [each for each in ordered if each is not None]
        return Taking(
            before=(acts[found.act] if found.act is not None else None) or IDENTITY,
            pool=pool,
            adds=found.add is not None,
            after=(acts[found.last] if found.last is not None else None) or IDENTITY,
            pool_after=pool_after,
            words=tuple(_in_words(each) for each in calls),
            modules=tuple(str(each.target) for each in calls if each.op == "call_module" and each is not node),
        )

    # -- why not

    def _explain_front(self, node: fx.Node) -> str:
        """Return why what is in front of a norm is not taken in; "" where nothing is that could be."""
        source = input_of(node)
        while source is not None and self._hands_on(source):
            source = input_of(source)
        if source is None or self._kind_of(source) not in ("activation", "pool"):
            return ""
        words = self._name(source)
        if len(source.users) > 1:
            return f"others read {words} in front too"
        if activation_of(source, self._owner) is not None:
            return f"what {words} in front reads is read or written into by others"
        return self._explain_kind(source, "in front")

    def _explain_back(self, node: fx.Node) -> str:
        """Return why what is behind a norm is not taken in."""
        while len(node.users) == 1 and self._hands_on(next(iter(node.users))):
            node = next(iter(node.users))
        if len(node.users) != 1:
            return f"its output goes to {len(node.users)} places" if node.users else "nothing reads its output"
        reader = next(iter(node.users))
        if reader.op == "output":
            return f"its output is that of {type(self._owner).__name__}"
        if addends_of(reader) is not None:
            return self._explain_sum(node, reader)
        if self._kind_of(reader) == "norm" and node in reader.args[1:]:
            return f"{self._name(reader)} adds it as its residual"
        return self._explain_kind(reader, "behind it")

    def _explain_sum(self, node: fx.Node, add: fx.Node) -> str:
        """Return why a norm does not take in a sum behind it."""
        words = self._name(add)
        if node.meta.get("attached"):
            return f"{words} stands behind it, and a norm that hangs on a module takes no sum"
        kinds = [each.meta.get(_KINDS) for each in addends_of(add) or ()]
        if None in kinds:
            return f"{words} stands behind it, and did not run by itself to tell of what shape its residual is"
        if kinds[0] != kinds[1]:
            runs = list(zip(*kinds, strict=False))  # the calls on the example, and then the same under autocast
            plain = runs[: len(runs) // 2]
            if plain and all(mine == its for mine, its in plain):
                return f"{words} behind it has a residual of another type under autocast to bfloat16"
            return f"{words} behind it has a residual of another shape or type"
        return f"what {words} behind it reads may be written into"

    def _explain_kind(self, node: fx.Node, here: str) -> str:
        """Return why a call is none that a norm takes in."""
        words = self._name(node)
        if node.op == "call_module" and has_hooks(self._owner.get_submodule(str(node.target))):
            return f"there are hooks on {words} {here}"
        if self._kind_of(node) == "activation" or here == "in front":
            settings = [f" with {name}={value!r}" for name, value in node.kwargs.items() if isinstance(value, str)]
            return f"no fused layer computes {words}{''.join(settings)} {here}"
        return f"{words} stands {here}"

    def _kind_of(self, node: fx.Node) -> str:
        """Return the role of a call, and of what is no call its place in a graph."""
        if node.op == "call_module":
            return kind_of_module(self._owner.get_submodule(str(node.target)))
        if node.op == "call_method":
            return kind_of_call(getattr(Tensor, str(node.target), len))
        return kind_of_call(node.target) if node.op == "call_function" else node.op  # type: ignore[arg-type]

    def _name(self, node: fx.Node) -> str:
        """Return a call in the words of the forward; of a module also its class."""
        if node.op != "call_module":
            return _in_words(node)
        return f"{type(self._owner.get_submodule(str(node.target))).__name__} {node.target}"

    # -- edits

    def _pass_by(self, node: fx.Node) -> None:
        """Let others read what a call read; it stays where a norm hangs on what it calls, which hands on from then."""
        if any(reader.meta.get("attached") for reader in node.users):
            self._gone.add(node)
            return
        self._erase(node)

    def _erase(self, node: fx.Node) -> None:
        source = input_of(node)
        assert source is not None
        node.replace_all_uses_with(source)
        self.graph.erase_node(node)

    def _join(self, node: fx.Node, add: fx.Node) -> None:
        """Call a norm where a sum stood, with the other addend as its residual."""
        addends = addends_of(add)
        assert addends is not None
        residual = next(each for each in addends if not self._leads_from(each, node))
        with self.graph.inserting_before(add):
            joined = self.graph.call_module(str(node.target), (input_of(node), residual))
        joined.meta[_KINDS] = node.meta[_KINDS]
        add.replace_all_uses_with(joined)
        self.graph.erase_node(add)
        here = next(each for each in addends if each is not residual)
        while True:
            source = input_of(here)
            self.graph.erase_node(here)
            if here is node:
                return
            assert source is not None
            here = source

    def _show_attached(self, node: fx.Node) -> None:
        """Make the norm that hangs on a child a call of its own."""
        if node.op != "call_module":
            return
        child = attached_norm(self._owner.get_submodule(str(node.target)))
        if child is None:
            return
        with self.graph.inserting_after(node):
            norm = self.graph.call_module(f"{node.target}.{child}", (node,))
        node.replace_all_uses_with(norm, delete_user_cb=lambda user: user is not norm)
        norm.meta |= {**node.meta, "attached": True}


def inline_calls(graph: fx.Graph, node: fx.Node, targets: Iterable[str]) -> list[fx.Node]:
    """Call the children of a plain Sequential one after the other in the place of the call of it, and return that.

    Args:
        graph: the graph of the forward that calls it.
        node: the call.
        targets: the children, by their paths from the owner of the forward.
    """
    made: list[fx.Node] = []
    given = input_of(node)
    with graph.inserting_before(node):
        for target in targets:
            given = graph.call_module(target, (given,))
            made.append(given)
    made[-1].meta |= node.meta
    node.replace_all_uses_with(made[-1])
    graph.erase_node(node)
    return made


def fold_calls(graph: fx.Graph, nodes: list[fx.Node], target: str) -> None:
    """Undo `inline_calls`: call the Sequential, by its path from the owner, where its children are called.

    Children that norms before it have taken in are called no more; they are identities by then.
    """
    present = set(graph.nodes)
    nodes = [node for node in nodes if node in present]
    with graph.inserting_before(nodes[0]):
        whole = graph.call_module(target, (input_of(nodes[0]),))
    nodes[-1].replace_all_uses_with(whole)
    for node in reversed(nodes):
        graph.erase_node(node)


def copy_graph(graph: fx.Graph) -> fx.Graph:
    """Return a copy of a graph, to be edited on trial."""
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    return copied


class KindReader(fx.Interpreter):
    """Runs a graph node by node, and notes shape, type and device of what each node returns, run after run."""

    def run_node(self, n: fx.Node) -> Any:
        """Run a node, and note what it returns."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta[_KINDS] = (*n.meta.get(_KINDS, ()), (tuple(result.shape), result.dtype, result.device))
        return result


def copy_kinds(graph: fx.Graph, twin: fx.Graph) -> None:
    """Note at the nodes of a graph's twin, of the same source, what was noted at the graph's."""
    for node, other in zip(graph.nodes, twin.nodes, strict=True):
        if _KINDS in node.meta:
            other.meta[_KINDS] = node.meta[_KINDS]


def _in_words(node: fx.Node) -> str:
    if node.op == "call_function":
        return name_of_call(node.target)  # type: ignore[arg-type]
    return str(node.target).strip("_") if node.op == "call_method" else str(node.target)
