"""What a model is called, and how it is built."""

import re
from collections.abc import Callable
from copy import deepcopy
from difflib import get_close_matches
from functools import partial

from torch import nn

from placenorm.errors import ModelError
from placenorm.lookup import describe_failure, load_object
from placenorm.zoo.libraries import LIBRARIES, build_library_model, library_shape, offer_library_names
from placenorm.zoo.plain import CNN_DEPTH, MLP_DEPTH, PlainCnn, PlainMlp

MODEL_FORMS = (
    "cnn, cnn:DEPTH, mlp, mlp:DEPTH, torchvision:NAME, timm:NAME, path/to/file.py:Name or package.module:factory"
)

_BUILT_IN = {"cnn": CNN_DEPTH, "mlp": MLP_DEPTH}
_DIGIT = (1, 8, 8)
"""Shape of one sample of the embedded images, for which the built-in networks are made unless data say otherwise."""

_DIGITS = 10
_IMAGE_AXES = 3  # [C, H, W]


def find_model(name: str, *, sample_shape: tuple[int, ...], outputs: int) -> Callable[[], nn.Module]:
    """Return a function without arguments that builds the model of a name.

    It draws weights from torch's random state, as any constructor does: seed before each call. It can be pickled.

    Args:
        name: ``cnn`` (8 conv layers), ``cnn:DEPTH``, ``mlp`` (6 hidden layers), ``mlp:DEPTH``;
            ``torchvision:NAME`` or ``timm:NAME`` with as many classes as there are outputs;
            ``path/to/file.py:Name`` or ``package.module:factory`` for the user's own:
            an ``nn.Module`` class or a function, called without arguments, or a module,
            which is copied with its weights at each call, so that every seed starts from the same weights.
        sample_shape: shape of one sample, ``[C, H, W]`` or ``[D]``; the user's own models do not see it.
        outputs: number of classes, or of values to predict; the user's own models do not see it.

    Raises:
        ModelError: if the name is unknown, the depth is no number from 1 up, or the network does not fit the samples.
            The returned function raises it if the user's code fails or gives something else than an ``nn.Module``.
        UsageError: if the user's file, module or name cannot be loaded.
    """
    head, colon, tail = name.partition(":")
    if head in _BUILT_IN:
        return _find_built_in(head, tail if colon else str(_BUILT_IN[head]), sample_shape, outputs)
    if head in LIBRARIES:
        library_shape(head, tail)  # so that a wrong name is refused now, not in the first trial
        return partial(build_library_model, head, tail, sample_shape=sample_shape, outputs=outputs)
    if not _is_own(name):
        close = get_close_matches(head.lower(), _BUILT_IN)[:1] or offer_library_names(name)
        offer = f"did you mean {' or '.join(close)}? A model is" if close else "a model is"
        raise ModelError(f"No model is called {name!r}; {offer} {MODEL_FORMS}.")
    load_object(name, "model")  # so that a wrong name is refused now, not in the first trial
    return partial(_build_own, name)


def find_example(name: str, sample_shape: tuple[int, ...] | None) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the model of a name as its library or its author makes it, and the shape of one sample for it.

    Args:
        name: as for `find_model`.
        sample_shape: shape of one sample; None for the one that the model is made for.

    Raises:
        ModelError: as `find_model`; or if the model is the user's own and no shape is given.
        UsageError: as `find_model`.
    """
    head, _, tail = name.partition(":")
    if head in LIBRARIES:
        shape = sample_shape or library_shape(head, tail)
        return build_library_model(head, tail, sample_shape=sample_shape), shape
    if head in _BUILT_IN:
        shape = sample_shape or _DIGIT
        return find_model(name, sample_shape=shape, outputs=_DIGITS)(), shape
    model = find_model(name, sample_shape=sample_shape or (), outputs=0)()
    if sample_shape is None:
        raise ModelError(
            f"Cannot run {name}: the shape of its input is not known; give that of one sample with --input, such as "
            "--input 3x224x224."
        )
    return model, sample_shape


def _is_own(name: str) -> bool:
    """Whether a name leads into the user's own code: not ``cn:8``, but ``net.py`` (the colon is missed later)."""
    tail = name.rpartition(":")[2] if ":" in name else ""
    return tail.isidentifier() or ".py" in name


def _find_built_in(kind: str, depth_text: str, sample_shape: tuple[int, ...], outputs: int) -> Callable[[], nn.Module]:
    if not re.fullmatch(r"0*[1-9][0-9]*", depth_text):
        raise ModelError(
            f"Cannot build '{kind}:{depth_text}': the depth {depth_text!r} is no whole number from 1 up; "
            f"write {kind}:{_BUILT_IN[kind]}."
        )
    depth = int(depth_text)
    if kind == "mlp":
        return partial(PlainMlp, sample_shape, outputs, depth)
    if len(sample_shape) != _IMAGE_AXES:
        instead = "use mlp, or give the images a channel axis" if len(sample_shape) == _IMAGE_AXES - 1 else "use mlp"
        raise ModelError(
            f"Cannot build cnn for samples of shape {list(sample_shape)}: it needs images [C, H, W]; {instead}."
        )
    channels, height, width = sample_shape
    return partial(PlainCnn, (channels, height, width), outputs, depth)


def _build_own(reference: str) -> nn.Module:
    """Return a model of the user's own. It stands at module level so that it pickles."""
    found = load_object(reference, "model")
    if isinstance(found, nn.Module):
        return deepcopy(found)
    if not callable(found):
        raise ModelError(
            f"Cannot build {reference}: it is of type {type(found).__name__}; "
            "name an nn.Module class or a function without arguments that returns an nn.Module."
        )
    try:
        model = found()
    except Exception as error:
        raise ModelError(
            f"Cannot build {reference}: called without arguments, {describe_failure(error, reference)}; "
            "mend that, or name a function without arguments that returns the model."
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"Cannot build {reference}: calling it gave type {type(model).__name__}, not an nn.Module; "
            "return the model from it."
        )
    return model
