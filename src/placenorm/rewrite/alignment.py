"""Which node of a traced forward makes which call of a recording: the forward runs node by node under the recorder."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from placenorm.errors import first_line
from placenorm.graph.recording import CallRecorder, Recording
from placenorm.graph.tracing import undisturbed
from placenorm.rewrite.captures import Captures
from placenorm.rewrite.retracing import NodeCalls, OwnerGraphs, RetraceError


class Aligner:
    """Finds, for forwards that torch.fx has traced, the node that makes each call of a recording.

    Args:
        model: the model; it is afterwards as it was.
        recording: what ran.
        captures: what the modules are called with whose forwards are to be aligned.
    """

    def __init__(self, model: nn.Module, recording: Recording, captures: Captures) -> None:
        self._model = model
        self._recording = recording
        self._captures = captures
        self._recorder = CallRecorder(model)

    def align(self, owners: Mapping[str, OwnerGraphs]) -> dict[str, str]:
        """Note in the graphs of owners, by their paths, which of their nodes make which calls.

        Returns:
            Why some cannot be aligned, by path: such an owner runs differently from one call to the next, or its graph
            makes other calls than it.
        """
        refused: dict[str, str] = {}
        with undisturbed(self._model):
            for path, graphs in owners.items():
                try:
                    self._align_one(path, graphs)
                except RetraceError as error:
                    refused[path] = str(error)
        return refused

    def _align_one(self, path: str, graphs: OwnerGraphs) -> None:
        visits = self._recording.visits.get(path, ())
        if len(set(visits)) != 1:
            raise RetraceError("it runs other ops at its second call than at its first")
        recorded = visits[0]
        evaluation = self._run(path, graphs.evaluation)
        if _source(graphs.training) == _source(graphs.evaluation):
            training = _same_in(graphs.training, evaluation, graphs.evaluation)
        else:
            training = self._run(path, graphs.training)  # its mode is part of the graph; its children evaluate
        if recorded not in (evaluation.names, training.names):
            raise RetraceError("it makes other calls when torch.fx has traced it")
        graphs.calls = (_renumber(training, recorded), _renumber(evaluation, recorded))

    def _run(self, path: str, graph: fx.Graph) -> NodeCalls:
        owner = self._model.get_submodule(path)
        bound = self._captures.bind(path)
        with self._recorder:
            for name, value in bound.arguments.items():
                self._recorder.note_input(name, value)
            self._recorder.enter(owner)
            runner = _CountingInterpreter(owner, graph, self._recorder)
            try:
                runner.run(*bound.arguments.values())
            except Exception as error:  # generated code and the user's functions run, anything can come out of it
                raise RetraceError(f"it does not run as torch.fx has traced it ({first_line(error)})") from error
            finally:
                names = self._recorder.leave()
        return NodeCalls(names, runner.first, runner.last)


class _CountingInterpreter(fx.Interpreter):
    """Runs a graph node by node, and notes which calls each node makes."""

    def __init__(self, owner: nn.Module, graph: fx.Graph, recorder: CallRecorder) -> None:
        super().__init__(owner, graph=graph)
        self.first: dict[int, fx.Node] = {}
        self.last: dict[int, fx.Node] = {}
        self._recorder = recorder

    def run_node(self, n: fx.Node) -> Any:
        before = self._recorder.events
        result = super().run_node(n)
        if self._recorder.events > before:
            self.first[before] = n
            self.last[self._recorder.events - 1] = n
        return result


def _source(graph: fx.Graph) -> str:
    return graph.python_code("self").src


def _same_in(graph: fx.Graph, calls: NodeCalls, twin: fx.Graph) -> NodeCalls:
    """Return the calls of a graph's twin, of the same source, as calls of the graph."""
    own = dict(zip(twin.nodes, graph.nodes, strict=True))
    first, last = ({ordinal: own[node] for ordinal, node in nodes.items()} for nodes in (calls.first, calls.last))
    return NodeCalls(calls.names, first, last)


def _renumber(calls: NodeCalls, recorded: tuple[str, ...]) -> NodeCalls:
    """Return calls under the ordinals of the recording.

    A name that occurs as often in both is matched by its order; which one is which of others cannot be told, and they
    have no ordinal.
    """
    if calls.names == recorded:
        return calls
    here, there = Counter(calls.names), Counter(recorded)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for ordinal, name in enumerate(recorded):
        places[name].append(ordinal)
    passed: Counter[str] = Counter()
    number: dict[int, int] = {}
    for ordinal, name in enumerate(calls.names):
        if here[name] == there[name]:
            number[ordinal] = places[name][passed[name]]
            passed[name] += 1
    return NodeCalls(
        recorded,
        {number[ordinal]: node for ordinal, node in calls.first.items() if ordinal in number},
        {number[ordinal]: node for ordinal, node in calls.last.items() if ordinal in number},
    )
