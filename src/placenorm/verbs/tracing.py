"""The verb `trace`: what a network is made of, as far as the norm is concerned."""

from torch import nn

from placenorm.facts.graph import Graph
from placenorm.graph.tracing import ExampleInputs, trace_model


def trace(model: nn.Module, example_inputs: ExampleInputs) -> Graph:
    """Return the graph of a model: its ops, its blocks and the sites where a norm is or could be.

    The model runs once in evaluation mode; its mode, its buffers and the random state are afterwards what they were.

    Args:
        model: any model that runs on the example; one on the meta device too.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.

    Raises:
        ModelError: if the model does not run on the inputs, or is of a kind that cannot be looked into.
        UsageError: if the example inputs are neither a tensor nor a tuple nor a dict.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> [(block.key, block.position) for block in pn.trace(net, torch.zeros(2, 4)).blocks]
        [('0', 'none'), ('2', 'none')]
    """
    return trace_model(model, example_inputs)
