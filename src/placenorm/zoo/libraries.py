"""Models of torchvision and timm by name, with random weights; neither library need be installed."""

import warnings
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from placenorm.errors import ModelError, first_line

LIBRARIES = ("torchvision", "timm")

_IMAGE = (3, 224, 224)
"""What classifiers of both libraries are made for, unless they say otherwise."""

_OWN_SHAPES = {
    "inception_v3": (3, 299, 299),
    "mvit_v1_b": (3, 16, 224, 224),
    "mvit_v2_s": (3, 16, 224, 224),
    "s3d": (3, 16, 224, 224),
    "swin3d_t": (3, 16, 112, 112),
    "swin3d_s": (3, 16, 112, 112),
    "swin3d_b": (3, 16, 112, 112),
    "r3d_18": (3, 16, 112, 112),
    "mc3_18": (3, 16, 112, 112),
    "r2plus1d_18": (3, 16, 112, 112),
}
"""torchvision's models for other inputs: those of their recipes."""

_AUXILIARY = frozenset({"googlenet", "inception_v3"})
"""torchvision's models that return several outputs in training, unless they are built without their further heads."""

_UNFIT = ("detection", "quantization", "optical_flow")
"""Families of torchvision that take lists of images or pairs, or compute with integers."""


def build_library_model(
    library: str, name: str, *, sample_shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> nn.Module:
    """Return a model of torchvision or timm with random weights; nothing is downloaded.

    Args:
        library: ``torchvision`` or ``timm``.
        name: the model's name there.
        sample_shape: shape of one sample; timm builds its first layer for the channels. None for its own default.
        outputs: number of classes, for training on the one output: auxiliary heads are left out. None for the
            model as the library makes it.

    Raises:
        ModelError: if the library is not installed, has no such model, or cannot build it so.
    """
    home = _load(library, name)
    arguments: dict[str, Any] = {} if outputs is None else {"num_classes": outputs}
    try:
        with warnings.catch_warnings():  # of how weights are drawn, and of names that moved
            warnings.simplefilter("ignore")
            if library == "timm":
                if sample_shape is not None:
                    arguments["in_chans"] = sample_shape[0]
                model: nn.Module = home.create_model(name, pretrained=False, **arguments)
            else:
                if _family(home, name) == "segmentation":
                    arguments["weights_backbone"] = None
                if outputs is not None and name in _AUXILIARY:
                    arguments["aux_logits"] = False
                model = home.get_model(name, weights=None, **arguments)
    except Exception as error:  # the library's own code, anything can come out of it
        raise ModelError(
            f"{library} cannot build {name} ({first_line(error)}); name another model, or write a function that builds "
            "it and name that: path/to/file.py:function."
        ) from error
    return model


def library_shape(library: str, name: str) -> tuple[int, ...]:
    """Return the shape of one sample that a model of torchvision or timm is made for, ``[C, H, W]`` or with frames.

    Raises:
        ModelError: if the library is not installed or has no such model.
    """
    home = _load(library, name)
    if library == "torchvision":
        return _OWN_SHAPES.get(name, _IMAGE)
    config = home.get_pretrained_cfg(name, allow_unregistered=True)
    return tuple(config.input_size) if config is not None and config.input_size else _IMAGE


def offer_library_names(name: str) -> list[str]:
    """Return how the libraries that are installed know a model that was named without one: ``timm:resnet18``."""
    installed = [library for library in LIBRARIES if find_spec(library) is not None]
    return [f"{library}:{name}" for library in installed if name in _import(library).list_models()]


def _load(library: str, name: str) -> Any:
    """Return the module of a library that builds models, if it has one of this name."""
    try:
        home = _import(library)
    except ImportError as error:
        raise ModelError(
            f"Cannot build a {library} model: {library} is not installed ({first_line(error)}); run pip install "
            f"{library}, in the version that fits your torch."
        ) from error
    names = home.list_models()
    if name not in names:
        close = get_close_matches(name, names)
        offer = f"did you mean {' or '.join(close)}?" if close else f"{home.__name__}.list_models() lists them."
        raise ModelError(f"{library} has no model called {name!r}; {offer}")
    if library == "torchvision" and _family(home, name) in _UNFIT:
        raise ModelError(
            f"Cannot use torchvision:{name}: its family ({_family(home, name)}) does not take one batch of images, or "
            "computes with integers; name a classifier, a segmentation or a video model."
        )
    return home


def _import(library: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("timm" if library == "timm" else "torchvision.models")


def _family(home: Any, name: str) -> str:
    """Return the part of torchvision that a model stands in: ``detection``, ``segmentation``, ``video`` or none."""
    parts = home.get_model_builder(name).__module__.split(".")
    return parts[2] if len(parts) > 3 else ""
