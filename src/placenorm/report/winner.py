"""The lines of Python that give somebody the placement that a comparison advises."""

import json
import keyword
import re

from placenorm.facts.comparison import Comparison, Variant
from placenorm.facts.placement import POLICIES

FIND = "from placenorm.zoo import find_model"
LOAD = "from placenorm.zoo import load_weights"

_NAMED = re.compile(r"(cnn|mlp)(:\d+)?|(torchvision|timm):.+")
"""Models that `find_model` builds: those of no file of the user's."""

_BATCH = 2  # one value per channel is too few for the norms of a model in training mode


def python_lines(comparison: Comparison) -> str:
    """Return the Python to paste to use the variant that is advised.

    Names are written as string literals or checked to be identifiers, so that no name can become code.

    Args:
        comparison: a comparison with a verdict.

    Raises:
        ValueError: if there is no verdict.
    """
    if comparison.verdict is None:
        raise ValueError("There is no variant to use yet: the comparison has no verdict.")
    pick = next(variant for variant in comparison.variants if variant.name == comparison.verdict.pick)
    settings = comparison.settings
    imports, build = _build_model(comparison, pick)
    if settings.weights is not None:
        imports = [*imports[:-1], f"{imports[-1]}, load_weights"] if FIND in imports else [*imports, LOAD]
        build.append(f"load_weights(model, {_quote(settings.weights)})")
    if not pick.changes:
        return "\n".join([*imports, *([""] if imports else []), *build, f"# {pick.label}: the model stays as it is"])
    norm = "" if settings.norm == "torch" else f", norm={_quote(settings.norm)}"
    return "\n".join(
        [
            "import torch",
            "",
            "import placenorm as pn",
            *imports,
            "",
            *build,
            f"example_inputs = {_example_inputs(comparison, pick)}",
            f"done = pn.place(model, example_inputs, {_placement(pick)}{norm})",
            "model = done.model",
        ]
    )


def _build_model(comparison: Comparison, pick: Variant) -> tuple[list[str], list[str]]:
    """Return the imports and the lines that build the model."""
    name = comparison.settings.model
    if _NAMED.fullmatch(name):
        shape = _sample_shapes(comparison, pick)[0]
        outputs = comparison.data.classes if comparison.data is not None else None
        if outputs is None:
            outputs = next(op.out_shape[-1] for op in reversed(pick.graph.ops) if op.kind == "weight")
        call = f"find_model({_quote(name)}, sample_shape={shape}, outputs={outputs})"
        return [FIND], [f"make_model = {call}", "model = make_model()"]
    head, colon, target = name.rpartition(":")
    if not colon or not _is_name(target):
        # A function that was handed to `pn.compare` has no name that could be imported.
        return [], [f"model = make_model()  # {_comment(name)}, as it was given to the comparison"]
    if not head.endswith(".py") and all(_is_name(part) for part in head.split(".")):
        return [f"from {head} import {target}"], [f"model = {target}()"]
    load = f"{target} = load_object({_quote(name)})"
    return ["from placenorm.lookup import load_object"], [load, f"model = {target}()"]


def _sample_shapes(comparison: Comparison, pick: Variant) -> list[tuple[int, ...]]:
    """Return the shape of one sample, for each input of the model."""
    traced = [op.out_shape[1:] for op in pick.graph.ops if op.kind == "input" and op.out_shape]
    return [comparison.data.sample_shape] if comparison.data is not None else traced or [()]


def _example_inputs(comparison: Comparison, pick: Variant) -> str:
    zeros = [
        f"torch.zeros({', '.join(str(size) for size in (_BATCH, *shape))})"
        for shape in _sample_shapes(comparison, pick)
    ]
    return zeros[0] if len(zeros) == 1 else f"({', '.join(zeros)})"


def _placement(pick: Variant) -> str:
    """Return a policy by its name; anything else as the mapping that it was, whatever file it came from."""
    if pick.name in POLICIES:
        return _quote(pick.name)
    lines = [f"    {_quote(block)}: {_quote(position)}," for block, position in pick.placement.items()]
    return "\n".join(["{", *lines, "}"])


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _quote(text: str) -> str:
    """Return a string literal; without surrogates, JSON's are Python's too."""
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return " ".join(text.split())
