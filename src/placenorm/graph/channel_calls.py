"""Calls by what they do to channels: which move them, which let another form pass, which only tell of them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from placenorm.graph.vocabulary import name_of_call

MOVING = frozenset(
    {
        "view", "reshape", "flatten", "unflatten", "permute", "transpose", "swapaxes", "swapdims", "movedim",
        "moveaxis",
        "unsqueeze", "squeeze", "getitem", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "narrow",
        "select", "cat", "concat", "concatenate", "stack", "expand", "repeat", "repeat_interleave", "roll", "flip", "t",
        "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "ravel", "unfold", "hsplit", "vsplit", "index_select",
        "tile", "rot90",
    }
)  # fmt: skip
"""Calls that move, pick or repeat values and do nothing else to them."""

JOINING = frozenset({"cat", "concat", "concatenate", "stack"})
MOVING_LIKE = frozenset({"view_as", "reshape_as", "expand_as"})
SAME = frozenset(
    {
        "contiguous",
        "clone",
        "detach",
        "alias",
        "to",
        "float",
        "double",
        "half",
        "bfloat16",
        "type_as",
        "type",
        "identity",
        "cpu",
    }
)
DROPPING = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})
HOMOGENEOUS = frozenset({"relu", "leaky_relu", "prelu", "rrelu"})
"""Activations with f(s x) = s f(x) for every s >= 0."""

ADDING = {"add": 1, "iadd": 1, "radd": 1, "sub": -1, "isub": -1}
MULTIPLYING = frozenset({"mul", "imul", "rmul", "multiply", "div", "truediv", "itruediv", "true_divide"})
TELLING = frozenset(
    {
        "size", "dim", "stride", "numel", "nelement", "ndimension", "is_contiguous", "is_floating_point", "type",
        "get_device", "element_size", "storage_offset", "len", "is_complex", "attribute", "has_names",
        "is_same_size", "result_type", "broadcast_shapes", "format", "repr", "hash",
    }
)  # fmt: skip
"""Calls that tell of a tensor and not of its values."""

OF_WEIGHTS = frozenset({"weight", "bias", "running_mean", "running_var"})
"""Parameters and buffers that folding changes."""

LIKE = frozenset(
    {"zeros_like", "ones_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones", "new_empty"}
)
"""Calls that read of a tensor only what it is like."""

CONVS = {f"conv{rank}d": rank for rank in (1, 2, 3)}
TRANSPOSED = {f"conv_transpose{rank}d": rank for rank in (1, 2, 3)}
WEIGHT_OPS = frozenset({*CONVS, *TRANSPOSED, "linear"})
PLAIN_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

REDUCING = frozenset({"mean", "sum"})
RESIZING = frozenset({"interpolate", "upsample", "upsample_nearest", "upsample_bilinear"})


def read_argument(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, *names: str, default: Any = None
) -> Any:
    """Return an argument of a call, by its place or by one of its names; the default where it is not given."""
    if len(args) > place:
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), default)


def name_call(func: Callable[..., Any]) -> str:
    """Return the name of a call; of an op that torch does not bring along, one that no other call has."""
    home = str(getattr(func, "__module__", ""))
    name = name_of_call(func)
    return f"{home}.{name}" if home.startswith("torch._ops.") and home != "torch._ops.aten" else name
