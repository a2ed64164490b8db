"""BN3xx: types of numbers, optimizers and devices."""

from collections.abc import Iterator

from placenorm.facts.finding import Fix
from placenorm.rules.evidence import GROUP_NORM_BATCH, KERAS_HALF, NO_BIAS_DECAY
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

HALF = frozenset({"float16", "bfloat16"})
"""Types with 11 and 8 bits of precision."""


def find_half_precision(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose parameters and statistics are held in half precision.

    What it does:
        Looks for float16 and bfloat16 in gamma, beta and the running statistics.

    Why it matters:
        A running average adds a small share of each batch: in half precision the share is rounded away, and variances
        beyond 65,504 overflow in float16.

    When to ignore it:
        In inference, where the statistics no longer move and outputs were compared.

    Example:
        model.half().

    Use instead:
        torch.autocast, which leaves norms in float32; or norm.float() for each norm, which takes half inputs.

    Fix safety:
        float32 holds every value that half precision holds, exactly.

    Evidence:
        Keras, batch_normalization.py.
    """
    for norm in layout.state.norms.values():
        if norm.dtype in HALF:
            yield Hit(
                (norm.path,),
                f"{norm.path} holds gamma, beta and its statistics in {norm.dtype}, where small updates are rounded "
                "away.",
                fix=Fix(f"Call float() on {norm.path}, or use torch.autocast in the place of half()."),
            )


def find_decayed_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where the optimizer has weight decay for gammas and betas.

    What it does:
        Looks up gamma and beta in the optimizer's groups.

    Why it matters:
        Decay pulls gamma to 0, not to 1: it does not regularise what the network computes, since the next layer makes
        up for it, and it starves channels.

    When to ignore it:
        Where you have measured it; some well-known networks are trained so.

    Example:
        torch.optim.SGD(model.parameters(), weight_decay=1e-4).

    Use instead:
        Two groups: parameters of one axis with weight_decay=0, the others with it.

    Fix safety:
        It changes how the network trains.

    Evidence:
        He et al. 2018, Bag of Tricks; timm's param_groups_weight_decay.
    """
    decayed = {norm.path: norm.decay for norm in layout.state.norms.values() if norm.learns and norm.decay}
    if decayed:
        paths = tuple(decayed)
        largest = max(decay for decay in decayed.values() if decay is not None)
        yield Hit(
            paths,
            f"The optimizer has weight decay (up to {largest:g}) for gamma and beta of {say_count(len(paths), 'norm')} "
            f"({say_blocks(paths)}).",
            {"weight decay": largest, "norms": float(len(paths))},
            Fix("Put parameters of one axis into a group of their own with weight_decay=0."),
        )


def find_forgotten_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that learns and that the optimizer does not hold.

    What it does:
        Looks for gammas and betas with a gradient that are in no group of the optimizer.

    Why it matters:
        They stay what they are, silently.

    When to ignore it:
        Where another optimizer holds them.

    Example:
        A norm that was added after the optimizer was built.

    Use instead:
        `done.remap(optimizer)` after `pn.place`; requires_grad=False where they are meant to stay.

    Fix safety:
        They begin to learn.

    Evidence:
        The documentation of torch.optim.
    """
    for norm in layout.state.norms.values():
        if norm.learns and norm.optimized is False:
            yield Hit(
                (norm.path,),
                f"The optimizer does not hold all of gamma and beta of {norm.path}, which have gradients.",
                fix=Fix("Build the optimizer after the norms, or call done.remap(optimizer) after pn.place."),
            )


def find_norm_per_device(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a network is wrapped for several devices and its norms are not synchronised.

    What it does:
        Looks for norms that are no SyncBatchNorm in a network in DistributedDataParallel or DataParallel.

    Why it matters:
        Each device normalises by its own part of the batch, and only the first one's running statistics are kept.

    When to ignore it:
        With 32 values per channel on each device and more.

    Example:
        DistributedDataParallel(model) with 2 images on each GPU.

    Use instead:
        nn.SyncBatchNorm.convert_sync_batchnorm(model), on GPUs.

    Fix safety:
        It changes how the network trains; in evaluation nothing changes.

    Evidence:
        The documentation of torch's SyncBatchNorm; Wu & He 2018.
    """
    alone = tuple(norm.path for norm in layout.state.norms.values() if "Sync" not in norm.layer)
    if layout.state.wrapped and alone:
        yield Hit(
            alone,
            f"In {layout.state.wrapped} each device normalises by its own part of the batch in "
            f"{say_count(len(alone), 'norm')} ({say_blocks(alone)}).",
            {"norms": float(len(alone))},
            Fix(
                "With less than 32 values per channel on a device, use nn.SyncBatchNorm.convert_sync_batchnorm(model)."
            ),
        )


HALF_PRECISION = Rule("half-precision-norm", "against", (KERAS_HALF,), find_half_precision, "BN301", "warning")
DECAYED_NORM = Rule("decayed-norm", "against", (NO_BIAS_DECAY,), find_decayed_norm, "BN302", "warning")
FORGOTTEN_NORM = Rule("forgotten-norm", "against", (), find_forgotten_norm, "BN303", "warning")
NORM_PER_DEVICE = Rule("norm-per-device", "note", (GROUP_NORM_BATCH,), find_norm_per_device, "BN304", "info")

PRECISION_RULES = (HALF_PRECISION, DECAYED_NORM, FORGOTTEN_NORM, NORM_PER_DEVICE)
"""In the order of their codes."""
