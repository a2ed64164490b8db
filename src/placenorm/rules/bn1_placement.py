"""BN1xx: norms in places where they do nothing, or harm. Decided from the network alone."""

import math
from collections.abc import Iterator

from placenorm.facts.finding import Fix
from placenorm.facts.graph import Op
from placenorm.graph.vocabulary import activation_name
from placenorm.rules.activations import BOUNDED
from placenorm.rules.deployment import UNFOLDABLE_NORM, find_unfoldable_norm
from placenorm.rules.depth import count_depth
from placenorm.rules.dropout import DROPOUT_BEFORE_NORM, find_dropout_before_norm
from placenorm.rules.evidence import (
    CAFFENET_AFFINE,
    GCR_AFTER_ADD,
    GROUP_NORM_BATCH,
    HE_AFTER_ADD,
    HOMOGENEOUS,
    IMAGENET_AFTER_ADD,
    KIM_BOUNDED,
    KOCAMAN_OUTPUT,
    PAGE_OUTPUT,
    ZERO_GAMMA,
)
from placenorm.rules.layout import Layout
from placenorm.rules.residual import ADDITIONS
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

DEEP = 50
"""Weight ops on the longest path up to which a norm behind an addition did no harm (ResNet-50 on ImageNet); at 110 it
doubled the error."""

LITTLE = 0.05
"""Share of the values that a dropout may drop before its change of the variance is worth a warning: with p dropped the
variance of what has mean zero grows by 1 / (1 - p), about 5 %."""

_QUIET = ("identity", "reshape")
"""Kinds of ops that hand on what they read."""

_LAST = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "softmax", "log_softmax", "sigmoid"})
"""Names of what may stand between the logits and the output."""


def find_bias_before_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each weight op whose bias the norm straight behind it cancels.

    What it does:
        Looks for weight ops that have a bias and whose output goes into one norm and nowhere else.

    Why it matters:
        The norm subtracts the mean, and the bias with it: the parameter learns nothing and costs memory and time.

    When to ignore it:
        Where the norm evaluates while the rest trains (it is frozen): then the bias does count, and the rule is silent.

    Example:
        nn.Conv2d(3, 8, 3) in front of nn.BatchNorm2d(8).

    Use instead:
        nn.Conv2d(3, 8, 3, bias=False).

    Fix safety:
        In evaluation the bias can be taken into the running mean, exactly; a checkpoint loses a key.

    Evidence:
        Ioffe & Szegedy 2015, section 3.2; docs/evidence.md, section 13.
    """
    ops = layout.graph.ops
    cancelled = {
        source.key: norm
        for norm in _norms(layout)
        if (source := layout.source(norm, through=_QUIET)) is not None
        and source.kind == "weight"
        and len(layout.readers(source)) == 1
        and norm.in_shape[1:2] == source.out_shape[1:2]  # a reshape between may fold features into places
        and not _is_fixed(layout, norm)
    }
    for path in dict.fromkeys(op.module for op in ops if op.kind == "weight"):
        calls = [op for op in ops if op.module == path]
        held = layout.state.layers.get(path or "")
        if held is not None and held.bias and all(op.key in cancelled and op.channel_axis == 1 for op in calls):
            norm = cancelled[calls[0].key]
            yield Hit(
                (calls[0].key,),
                f"The bias of {path} is cancelled by {norm.key}, which subtracts the mean straight behind it.",
                {"parameters": float(calls[0].out_shape[1])},
                Fix(f"Build {path} with bias=False."),
            )


def _is_fixed(layout: Layout, norm: Op) -> bool:
    """Whether a norm subtracts constants while the network trains: it evaluates then; of a function nobody knows."""
    state = layout.state.norms.get(norm.module or "")
    return state is None or (not state.training and layout.state.training)


def find_dropout_in_front(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that has a dropout in front of it."""
    ops = layout.graph.ops
    for hit in find_dropout_before_norm(layout):
        for key in hit.sites:
            norm = next(ops[index] for block in layout.graph.blocks if block.key == key for index in block.norms)
            share = _dropped_in_front(layout, norm)
            yield Hit(
                (key,),
                f"Dropout stands in front of the norm of {key}. It changes the variance in training only, so in "
                "evaluation the norm uses statistics that do not fit.",
                {} if share is None else {"share dropped": share},
                Fix("Move the dropout behind the last norm, or set its probability to 0."),
                severity="info" if share is not None and share <= LITTLE else None,
            )


def _dropped_in_front(layout: Layout, norm: Op) -> float | None:
    """Return the largest share that the dropouts in front of a norm drop; None where none says."""
    here, shares = layout.source(norm), list[float]()
    while here is not None and here.kind in (*_QUIET, "dropout", "activation", "pool", "weight"):
        held = layout.state.layers.get(here.module or "")
        shares += [held.dropped] if held is not None and held.dropped else []
        here = layout.source(here)
    return max(shares, default=None)


find_dropout_in_front.__doc__ = find_dropout_before_norm.__doc__


def find_norm_after_addition(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm through which the sum of a residual connection has to go.

    What it does:
        Looks for norms that alone read an addition, where another addition follows: the shortcut runs through the norm.
        A norm that opens a branch (pre-activation) is not meant, nor is the one behind the last addition.

    Why it matters:
        The shortcut is no longer the identity: at 110 layers the error doubled, at 20 and 50 nothing was lost. So it is
        a warning in networks deeper than 50 weight ops, and information in others.

    When to ignore it:
        In networks of 50 weight ops and fewer.

    Example:
        x = self.norm(x + self.branch(x)), block after block.

    Use instead:
        The norm on the branch, before the addition: x = x + self.norm(self.branch(x)).

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        He et al. 2016, Table 2; gcr/torch-residual-networks; Gross & Wilber 2016.
    """
    additions = [op.key for op in layout.graph.ops if op.kind == "join" and op.name in ADDITIONS]
    depth = count_depth(layout.graph)
    for norm in _norms(layout):
        source = layout.source(norm, through=_QUIET)
        if source is None or source.name not in ADDITIONS or len(layout.readers(source)) != 1:
            continue
        if source.key != additions[-1]:
            yield Hit(
                (norm.key,),
                f"The shortcut runs through {norm.key}, which stands behind the addition {source.key} and in front of "
                f"the next one; the longest path has {say_count(depth, 'weight op')}.",
                {"depth": float(depth)},
                Fix("Put the norm on the branch, before the addition."),
                severity="warning" if depth > DEEP else "info",
            )


def find_norm_twice(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that reads what another norm has just normalised.

    What it does:
        Looks for norms with nothing between them but reshapes.

    Why it matters:
        The second undoes gamma and beta of the first and normalises what is normalised: twice the cost for nothing.

    When to ignore it:
        Where the two see different axes.

    Example:
        nn.Sequential(conv, nn.BatchNorm2d(8), nn.BatchNorm2d(8)).

    Use instead:
        One of the two.

    Fix safety:
        In evaluation the two are one affine map, exactly; in training the eps of both count.

    Evidence:
        Algebra; gcr/torch-residual-networks, README.
    """
    for norm in _norms(layout):
        source = layout.source(norm, through=_QUIET)
        if source is not None and source.kind == "norm" and source.out_shape[1:2] == norm.in_shape[1:2]:
            yield Hit(
                (norm.key,),
                f"{norm.key} normalises what {source.key} has just normalised, and undoes its gamma and beta.",
                fix=Fix(f"Take {source.key} out, or {norm.key}."),
            )


def find_norm_before_output(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose values are the network's output, a softmax or sigmoid at the most between.

    What it does:
        Looks for norms behind the last weight op.

    Why it matters:
        The logits of a sample then hang on the other samples of its batch, and their scale on gamma alone.

    When to ignore it:
        Where one class is rare: with classes 99 to 1 such a norm raised the F1 of the rare one from 0.29 to 0.95.
        Where the output is an embedding that is meant to be standardised.

    Example:
        nn.Sequential(..., nn.Linear(128, 10), nn.BatchNorm1d(10)).

    Use instead:
        The last weight op gives the output.

    Fix safety:
        Taken out with `preserve`, the network evaluates to the same, exactly; it trains differently.

    Evidence:
        Page, bag_of_tricks.ipynb, cell 49; against it Kocaman et al. 2020 and 2021.
    """
    ops = layout.graph.ops
    for block in layout.graph.blocks:
        for index in block.norms:
            readers = layout.readers(ops[index])
            while len(readers) == 1 and (readers[0].kind in _QUIET or activation_name(readers[0].name) in _LAST):
                readers = layout.readers(readers[0])
            if [op.kind for op in readers] == ["output"] and not block.joined:
                exact = _goes_exactly(layout, ops[block.weight], ops[index])
                yield Hit(
                    (block.key,),
                    f"The output of the network is what {ops[index].key} normalises: in training a sample's output "
                    "hangs on the others of its batch.",
                    fix=Fix(
                        f"Take the norm out: {block.key} gives the output.",
                        {block.key: "none"} if exact else {},
                        exact=exact,
                    ),
                )


def _goes_exactly(layout: Layout, opening: Op, norm: Op) -> bool:
    """Whether a norm can be taken into the weight op straight in front of it: both run once, and it has statistics."""
    state = layout.state.norms.get(norm.module or "")
    once = all(
        op.module is not None and sum(other.module == op.module for other in layout.graph.ops) == 1
        for op in (opening, norm)
    )
    alike = norm.in_shape[1:2] == opening.out_shape[1:2] and layout.source(norm, through=_QUIET) == opening
    return once and alike and state is not None and state.tracks


def find_single_place(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm on a map of one place, where only the batch is left to average over.

    What it does:
        Looks for norms on [N, C, 1, 1] and the like, with the example input.

    Why it matters:
        Its mean and variance are of N values: a batch of one raises an error in training, and small ones are noise.

    When to ignore it:
        Where you train with 32 samples a step and more, or where the example input is smaller than what you train on.

    Example:
        A global average pool, a conv and a norm (the image pooling of DeepLab).

    Use instead:
        No norm there, or a group norm.

    Fix safety:
        Taken out with `preserve`, the network evaluates to the same; it trains differently.

    Evidence:
        Wu & He 2018; docs/evidence.md, sections 10 and 13.
    """
    for norm in _norms(layout):
        if len(norm.in_shape) > 2 and math.prod(norm.in_shape[2:]) == 1:
            yield Hit(
                (norm.key,),
                f"{norm.key} sees one place a sample ({list(norm.in_shape)}), so it averages over the batch alone.",
                {"places": 1.0},
                Fix("Leave the norm out there, use a group norm, or train with 32 samples a step and more."),
            )


def find_affine_missing(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm without gamma and beta in front of a ReLU or its like.

    What it does:
        Looks for affine=False in front of an activation that cuts off at a fixed value.

    Why it matters:
        The threshold is pinned to the mean: every channel is on for about one half of its values, whatever would help.

    When to ignore it:
        Where you mean it. The one published difference is small.

    Example:
        nn.BatchNorm2d(8, affine=False) in front of nn.ReLU().

    Use instead:
        affine=True.

    Fix safety:
        New parameters start as 1 and 0: the network computes the same at first.

    Evidence:
        Mishkin et al. 2017, batchnorm.md.
    """
    for norm in _norms(layout):
        state = layout.state.norms.get(norm.module or "")
        readers = layout.readers(norm)
        if state is not None and not state.affine and readers and all(op.relu_like for op in readers):
            yield Hit(
                (norm.key,),
                f"{norm.key} has neither gamma nor beta, so the threshold of {readers[0].key} is pinned to the mean.",
                fix=Fix(f"Build {norm.module} with affine=True."),
            )


def find_wrong_axis(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that takes the positions of a sequence for its channels.

    What it does:
        Looks for norms on [N, L, C] straight behind a linear layer, whose features are last: it normalises axis 1.

    Why it matters:
        It has statistics, gamma and beta for each position instead of each feature, and takes sequences of one length
        only.

    When to ignore it:
        Where positions are meant.

    Example:
        nn.Linear(8, 16) and nn.BatchNorm1d(20) on [32, 20, 8].

    Use instead:
        A transpose around the norm; `pn.place` with a mapping puts one on features that are last.

    Fix safety:
        It is another network; it has to be trained again.

    Evidence:
        The documentation of torch's BatchNorm1d; keras issue 1921.
    """
    for norm in _norms(layout):
        source = layout.source(norm, through=("identity", "dropout", "activation"))
        if source is None or source.kind != "weight" or source.channel_axis < 2 or norm.module is None:
            continue
        if source.out_shape == norm.in_shape:
            yield Hit(
                (norm.key,),
                f"{norm.key} normalises axis 1 of {list(norm.in_shape)}, which holds positions: the features of "
                f"{source.key} are last.",
                {"positions": float(norm.in_shape[1]), "features": float(norm.in_shape[-1])},
                Fix("Transpose in front of the norm and back behind it, or place it with a mapping."),
            )


def find_shared_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that runs more than once in a forward pass.

    What it does:
        Counts the calls of each norm on the example input.

    Why it matters:
        One set of running statistics serves values of several places (or of several inputs): where they differ,
        evaluation fits none of them. Tools that fold norms away one by one go wrong on it.

    When to ignore it:
        Where all calls see alike values, as the two inputs of a siamese network mostly are.

    Example:
        for scale in scales: y.append(self.norm(self.head(scale))).

    Use instead:
        One norm for each call, with shared weights around it if need be.

    Fix safety:
        New norms start with the shared one's values: the network computes the same at first.

    Evidence:
        pytorch issue 1738.
    """
    calls: dict[str, list[Op]] = {}
    for norm in _norms(layout):
        if norm.module is not None:
            calls.setdefault(norm.module, []).append(norm)
    for path, runs in calls.items():
        if len(runs) > 1:
            yield Hit(
                (path,),
                f"{path} runs {len(runs)} times in one forward pass, with one set of running statistics for all.",
                {"calls": float(len(runs))},
                Fix("Give each call a norm of its own."),
            )


def find_norm_on_shortcut(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that stands alone on a shortcut.

    What it does:
        Looks for norms that read what a branch begins with and give to the addition where it ends, with no weight op
        between.

    Why it matters:
        The shortcut is no longer the identity, and normalising again and again is not idempotent: it adds noise.

    When to ignore it:
        Where the shortcut has to change its scale.

    Example:
        x = self.branch(x) + self.norm(x).

    Use instead:
        The shortcut as it is.

    Fix safety:
        It is another network; it has to be trained again.

    Evidence:
        gcr/torch-residual-networks, README.
    """
    for norm in _norms(layout):
        source = layout.source(norm, through=_QUIET)
        readers = layout.readers(norm)
        forks = source is not None and len(layout.readers(source)) > 1 and source.kind != "weight"
        if forks and readers and all(op.kind == "join" and op.name in ADDITIONS for op in readers):
            yield Hit(
                (norm.key,),
                f"{norm.key} stands alone on the shortcut to {readers[0].key}.",
                fix=Fix("Take it out, so that the shortcut is the identity."),
            )


def find_bounded_behind(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where norms stand in front of tanh, sigmoid and their like.

    What it does:
        Looks for blocks with a norm before a bounded activation; gates are left out.

    Why it matters:
        With bounded activations the order "after" has published results on its side.

    When to ignore it:
        Where you have measured it.

    Example:
        linear, norm, Tanh.

    Use instead:
        linear, Tanh, norm; `compare` settles it.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        Kim et al. 2023.
    """
    keys = tuple(
        block.key
        for block in layout.graph.blocks
        if block.position == "before-activation"
        and not block.exempt
        and (op := layout.activation_of(block)) is not None
        and activation_name(op.name) in BOUNDED
    )
    if keys:
        yield Hit(
            keys,
            f"{say_count(len(keys), 'norm')} ({say_blocks(keys)}) in front of a bounded activation, where published "
            "results speak for the order activation, norm.",
            {"blocks": float(len(keys))},
        )


def find_idle_gamma(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where the next weight op could do what gamma does.

    What it does:
        Counts norms with gamma whose values go through a ReLU (which a positive factor passes), or nothing, into weight
        ops alone.

    Why it matters:
        Such a gamma adds no function, but parameters; it does change how the network learns.

    When to ignore it:
        Mostly: it is good to know where memory is short.

    Example:
        norm, ReLU, conv.

    Use instead:
        torch has no norm with beta alone; nothing has to be done.

    Fix safety:
        Nothing is changed.

    Evidence:
        Keras, BatchNormalization; pytorch issue 40087.
    """
    keys = []
    for norm in _norms(layout):
        state = layout.state.norms.get(norm.module or "")
        readers = layout.readers(norm)
        while len(readers) == 1 and (readers[0].kind in _QUIET or activation_name(readers[0].name) == "ReLU"):
            readers = layout.readers(readers[0])
        if state is not None and state.affine and readers and all(op.kind == "weight" for op in readers):
            keys.append(norm.key)
    if keys:
        yield Hit(
            tuple(keys),
            f"The gammas of {say_count(len(keys), 'norm')} ({say_blocks(tuple(keys))}) scale what the next weight op "
            "could scale by itself.",
            {"norms": float(len(keys))},
        )


def find_loud_branch(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where the residual branches of a network that is not trained yet start at full strength.

    What it does:
        Where running statistics are those that norms start with, looks for norms that give to an addition and whose
        gamma is not 0.

    Why it matters:
        With the last gamma of each branch at 0 the network starts as its shortcuts, which helps with large batches.

    When to ignore it:
        Where the shortcut has weights of its own, or with batches of some hundreds.

    Example:
        torchvision's ResNets, unless zero_init_residual=True.

    Use instead:
        nn.init.zeros_(block.bn2.weight) for the last norm of each branch.

    Fix safety:
        It changes how training starts.

    Evidence:
        Goyal et al. 2017; timm, zero_init_last.
    """
    keys = []
    for block in layout.graph.blocks:
        for norm in (layout.graph.ops[index] for index in block.norms):
            state = layout.state.norms.get(norm.module or "")
            readers = layout.readers(norm)
            ends = len(readers) == 1 and readers[0].kind == "join" and readers[0].name in ADDITIONS
            if state is not None and state.fresh and state.affine and ends and not state.zero_gammas:
                keys.append(block.key)
    if keys:
        yield Hit(
            tuple(keys),
            f"The network is not trained yet, and its branches ({say_blocks(tuple(keys))}) start at full strength: no "
            "gamma in front of an addition is 0.",
            {"norms": float(len(keys))},
        )


def _norms(layout: Layout) -> tuple[Op, ...]:
    return layout.graph.norms


BIAS_BEFORE_NORM = Rule("bias-before-norm", "against", (), find_bias_before_norm, "BN101", "info")
DROPOUT_IN_FRONT = Rule(
    "dropout-before-norm", "against", DROPOUT_BEFORE_NORM.figures, find_dropout_in_front, "BN102", "warning"
)
NORM_AFTER_ADDITION = Rule(
    "norm-after-addition",
    "against",
    (HE_AFTER_ADD, GCR_AFTER_ADD, IMAGENET_AFTER_ADD),
    find_norm_after_addition,
    "BN103",
    "warning",
)
NORM_TWICE = Rule("norm-twice", "against", (), find_norm_twice, "BN104", "warning")
NORM_BEFORE_OUTPUT = Rule(
    "norm-before-output", "against", (PAGE_OUTPUT, KOCAMAN_OUTPUT), find_norm_before_output, "BN105", "warning"
)
SINGLE_PLACE = Rule("single-place", "against", (GROUP_NORM_BATCH,), find_single_place, "BN106", "warning")
AFFINE_MISSING = Rule("affine-missing", "against", (CAFFENET_AFFINE,), find_affine_missing, "BN107", "info")
WRONG_AXIS = Rule("wrong-axis", "against", (), find_wrong_axis, "BN108", "warning")
SHARED_NORM = Rule("shared-norm", "note", (), find_shared_norm, "BN109", "info")
NORM_ON_SHORTCUT = Rule("norm-on-shortcut", "against", (GCR_AFTER_ADD,), find_norm_on_shortcut, "BN110", "warning")
UNFOLDABLE = Rule("unfoldable-norm", "against", UNFOLDABLE_NORM.figures, find_unfoldable_norm, "BN111", "info")
BOUNDED_BEHIND = Rule("bounded-activation-behind", "note", (KIM_BOUNDED,), find_bounded_behind, "BN112", "info")
IDLE_GAMMA = Rule("idle-gamma", "note", (HOMOGENEOUS,), find_idle_gamma, "BN113", "info")
LOUD_BRANCH = Rule("loud-branch", "note", (ZERO_GAMMA,), find_loud_branch, "BN114", "info")

PLACEMENT_RULES = (
    BIAS_BEFORE_NORM,
    DROPOUT_IN_FRONT,
    NORM_AFTER_ADDITION,
    NORM_TWICE,
    NORM_BEFORE_OUTPUT,
    SINGLE_PLACE,
    AFFINE_MISSING,
    WRONG_AXIS,
    SHARED_NORM,
    NORM_ON_SHORTCUT,
    UNFOLDABLE,
    BOUNDED_BEHIND,
    IDLE_GAMMA,
    LOUD_BRANCH,
)
"""In the order of their codes."""
