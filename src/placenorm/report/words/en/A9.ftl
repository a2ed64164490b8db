A9-title = Before or after the activation
A9-article = Put the norm after the activation. Before a ReLU every unit is off for about half of the data, although a feature that occurs in 10 % of the data wants its unit off for 90 %; after the activation the next layer’s weights shift as needed.
A9-question = Is a network with its norms after the activation more accurate than one with its norms before it? And the reason: when a unit should be on for 10 % of the inputs, does a norm before its ReLU keep it on for about half of them, or does beta learn it?
A9-design = Plain networks of linear layers over depth and deep residual ones with ReLU are trained for 12 epochs at several learning rates, with norms before and after the activation; networks of 9 layers also with ELU, tanh and GELU, and with norms that have no gamma and beta. The reason has a scene of its own: one unit with a ReLU, and a layer that reads it, learn to say whether a feature is there that 10 % of the inputs have. What the unit sees is clean (the feature stands 20 standard deviations out of the noise) or noisy (3).
A9-measure = Test accuracy after minus before, each at the learning rate with the lowest validation loss of its seed, paired by seed, in seven conditions: ReLU up to 5 layers, above 6 layers, above 6 layers with residual connections, without gamma and beta, ELU, tanh, and GELU; overall is their mean. In the scene: the share of fresh inputs at which the unit is on, in evaluation, beside that of a unit without a norm.
A9-rule = Ten intervals share an error of 5 %: the seven conditions, overall, and the shares of two units in the noisy scene. After is better if the interval is above 0 and the mean above one point, before if it is the other way round; they are the same if the interval lies within a point of 0, else it is open. After better overall: the claim holds, except in conditions where before is better. Otherwise, after better in some condition: it holds only there. After better nowhere, and overall before better or the same: it does not hold. Else undecided. What the scene says of the reason is told beside it.
A9-seeds = { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}
A9-best = { $best ->
    [shallow] ReLU networks up to 5 layers
    [deep] ReLU networks of more than 6 layers
    [residual] deep residual networks
    [no-affine] networks whose norms have no gamma and beta
    [elu] networks with ELU
    [tanh] networks with tanh
   *[gelu] networks with GELU
}
A9-worst = { $worst ->
    [shallow] ReLU networks up to 5 layers
    [deep] ReLU networks of more than 6 layers
    [residual] deep residual networks
    [no-affine] networks whose norms have no gamma and beta
    [elu] networks with ELU
    [tanh] networks with tanh
   *[gelu] networks with GELU
}
A9-reason = { $reason ->
    [both] The reason is right without gamma and beta and wrong with them: a unit for a feature that 10 % of the inputs have is on for { $on_plain } % of the noisy inputs behind a norm without beta, but for { $on_before } % with beta, as without a norm ({ $on_none } %); beta learns it.
    [learned] The reason does not show: with beta a unit for a feature that 10 % of the inputs have is on for { $on_before } % of the noisy inputs, as without a norm ({ $on_none } %); without beta for { $on_plain } %.
    [forced] The reason is right: a unit for a feature that 10 % of the inputs have is on for { $on_before } % of the noisy inputs behind a norm with beta and for { $on_plain } % without beta, against { $on_none } % without a norm.
   *[open] The reason is not settled: a unit for a feature that 10 % of the inputs have is on for { $on_before } % of the noisy inputs behind a norm with beta, for { $on_plain } % without beta, and for { $on_none } % without a norm.
} With the norm after the ReLU it is { $on_behind } %; and on clean inputs { $clean_before } % with beta and { $clean_plain } % without, for then the norm’s input is not symmetric.
A9-holds = Right: norms after the activation are better by { $overall } points of accuracy over all conditions, and in none are norms before it ({ A9-seeds }). { A9-reason }
A9-holds-only-if-except = Right over all conditions, by { $overall } points of accuracy, but not in all: norms before the activation are better in { $before } of { $conditions }, most in { A9-worst } ({ $worst_gain } points; { A9-seeds }). { A9-reason }
A9-holds-only-if-some = Right in { $after } of { $conditions } conditions only, most in { A9-best } ({ $best_gain } points); over all conditions the difference is { $overall } points ({ A9-seeds }). { A9-reason }
A9-does-not-hold-before = Not so here: norms before the activation are better over all conditions (after minus before: { $overall } points of accuracy), and in none are norms after it, at least not so that it could be shown ({ A9-seeds }). { A9-reason }
A9-does-not-hold-same = Not so here: before or after the activation makes no practical difference over all conditions ({ $overall } points of accuracy), and in none is after better, at least not so that it could be shown ({ A9-seeds }). { A9-reason }
A9-undecided = Not decided with { A9-seeds }: over all conditions, norms after the activation differ by { $overall } points of accuracy from norms before it, between { $worst_gain } ({ A9-worst }) and { $best_gain } ({ A9-best }). { A9-reason }
A9-advice = Leave gamma and beta on, and let `placenorm compare` decide between before and after on your own network: no rule holds for all of them.
A9-effect-overall = Test accuracy after minus before, mean of all conditions
A9-effect-condition = Test accuracy after minus before, { $condition ->
    [shallow] ReLU, at most 5 layers
    [deep] ReLU, more than 6 layers
    [residual] ReLU, deep residual
    [no-affine] ReLU, no gamma and beta
    [elu] ELU
    [tanh] tanh
   *[gelu] GELU
}
A9-effect-share = How much more often the unit of the noisy scene is on than without a norm, norm before the ReLU { $affine ->
    [True] with gamma and beta
   *[False] without gamma and beta
}
A9-published-caffenet = CaffeNet on ImageNet at 128 pixels: with gamma and beta 47.8 % before and 49.3 % after, without them 47.4 % before and 49.9 % after, without a norm 47.1 %.
A9-published-googlenet = In the same benchmark the deeper GoogLeNet is better before: 60.3 % against 59.6 %, or 60.7 % against 58.4 % with orthogonal initialisation; without a norm it reached 61.9 %.
A9-published-nin = A network-in-network on CIFAR-10 ended at 85.8 % before and 86.2 % after, which is within its changes from epoch to epoch.
A9-published-octave = A small OctaveCNN with PReLU on CIFAR-10 reached 82.2 % before and 84.2 % after in 30 epochs.
A9-published-tanh = With ReLU and the like the order is generally not much different; with bounded activations such as tanh, after is considerably better.
A9-published-chollet = “I can guarantee that recent code written by Christian applies relu before BN. It is still occasionally a topic of debate, though.” It is a report on somebody’s code, without a measurement.
A9-conditions-title = Test accuracy after minus before the activation, by condition
A9-conditions-caption = Each at its own best learning rate, paired by seed; the intervals share an error of 5 %. Right of 0 after is better, left of it before.
A9-conditions-x = After minus before, points
A9-conditions-y = Condition
A9-depth-title = After minus before the activation, by depth
A9-depth-caption = Test accuracy of ReLU networks, each at its own best learning rate, paired by seed, with 95 % intervals of each depth alone.
A9-depth-x = Layers
A9-depth-y = After minus before, points
A9-share-title = How often a unit is on that a feature of 10 % of the inputs needs
A9-share-caption = Share of fresh inputs at which its ReLU lets something through, after training, in evaluation; mean over seeds with 95 % intervals.
A9-share-x = What the unit sees
A9-share-y = Share of inputs
A9-group-shallow = ReLU, at most 5 layers
A9-group-deep = ReLU, more than 6 layers
A9-group-residual = residual
A9-group-plain = plain
A9-group-no-affine = no gamma and beta
A9-group-elu = ELU
A9-group-tanh = tanh
A9-group-gelu = GELU
A9-group-clean = clean
A9-group-noisy = noisy
A9-group-before = norm before the ReLU
A9-group-before-plain = before, no gamma and beta
A9-group-after = norm after the ReLU
