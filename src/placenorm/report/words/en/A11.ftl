A11-title = The shape of distributions before and after the norm
A11-article = Data are not Gaussian – they are discrete, for one – yet we treat them as if they were, and the normal distribution’s properties then hold. The author doubts the word “normalising”.
A11-question = Once values are standardised, are they near enough to a normal distribution for its properties to hold?
A11-design = Plain networks are trained with the norm before and after each activation. Then 1,024 training samples go through them once, in evaluation mode and double precision.
A11-measure = Skewness, excess kurtosis (both 0 for a normal) and the share of exact zeros of every channel, before and after the norm, the activation and the pool; at a site the median over channels of their sizes, for a network the mean over the outputs of its norms. And how far a norm changes them.
A11-rule = A placement looks normal if skewness is certainly at most 0.5 and excess kurtosis at most 1 in every network; it does not if one of them is certainly above. Both placements look normal: the claim holds. One of them: it holds only if the norm stands there. Neither: it does not hold.
A11-holds = Right in practice: after the norm values are near a normal’s shape, before the activation (skewness { $skewness_before }, excess kurtosis { $kurtosis_before }) and after it ({ $skewness_after }, { $kurtosis_after }), though it is not the norm that brings it about ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A11-holds-only-if-before-activation = Right before the activation only. There values are near a normal’s shape (skewness { $skewness_before }, excess kurtosis { $kurtosis_before }); after it they are not ({ $skewness_after }, { $kurtosis_after }), { $zeros_after } % of them being one and the same value. The norm itself changes neither skewness nor kurtosis: the author’s doubt about the word is right, it is standardising ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A11-holds-only-if-after-activation = Right after the activation only. There values are near a normal’s shape (skewness { $skewness_after }, excess kurtosis { $kurtosis_after }); before it they are not ({ $skewness_before }, { $kurtosis_before }). The norm itself changes neither: the author’s doubt about the word is right, it is standardising ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A11-does-not-hold = The data are indeed not Gaussian (a feature of the input takes { $levels } different values), and the norm does not make them so: skewness is { $skewness_before } before and { $skewness_after } after the activation, excess kurtosis { $kurtosis_before } and { $kurtosis_after }, where a normal has 0. The author’s doubt about the word is right: it is standardising ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A11-undecided = Not decided with { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}: skewness is { $skewness_before } before and { $skewness_after } after the activation, excess kurtosis { $kurtosis_before } and { $kurtosis_after }.
A11-undecided-after-not = Half decided. After the activation the normal’s properties certainly do not hold: skewness is { $skewness_after }, excess kurtosis { $kurtosis_after }, and { $zeros_after } % of the values are one and the same. Before it (skewness { $skewness_before }, excess kurtosis { $kurtosis_before }) { $seeds_count ->
    [one] one seed does
   *[other] { $seeds } seeds do
} not settle on which side of the margins of { $skewness_margin } and { $kurtosis_margin } every network lies. The norm itself changes neither: the author’s doubt about the word is right, it is standardising.
A11-advice = Call it standardising, and measure what matters of a distribution (`pn.watch` at level full) instead of reading it off the normal table.
A11-effect-skewness = Skewness after the norm, norm { $placement ->
    [before-activation] before the activation
   *[after-activation] after the activation
}, { $network ->
    [cnn] convolutional
   *[mlp] fully connected
}, depth { $depth }
A11-effect-kurtosis = Excess kurtosis after the norm, norm { $placement ->
    [before-activation] before the activation
   *[after-activation] after the activation
}, { $network ->
    [cnn] convolutional
   *[mlp] fully connected
}, depth { $depth }
A11-effect-change = Largest change of any channel’s skewness or kurtosis by a norm, as a share of it
A11-effect-zeros = Exact zeros { $site ->
    [norm-in] before the norm
    [norm-out] after the norm
   *[activation] after the activation
}, norm { $placement ->
    [before-activation] before the activation
   *[after-activation] after the activation
}
A11-published-before = Ioffe and Szegedy place the norm before the activation because what a layer computes there is likely “more Gaussian”: symmetric and not sparse.
A11-published-after = Goodfellow, Bengio and Courville call what a ReLU leaves “more non-Gaussian and less amenable to standardization by linear operations”.
A11-skewness-title = Skewness of the standardised values, by depth
A11-skewness-caption = Median size over channels after each norm, with the interval over seeds. A normal has 0; up to 0.5 is nearly symmetric.
A11-skewness-x = Norm, from the input
A11-skewness-y = Skewness
A11-kurtosis-title = Excess kurtosis of the standardised values, by depth
A11-kurtosis-caption = Median size over channels after each norm, with the interval over seeds. A normal has 0.
A11-kurtosis-x = Norm, from the input
A11-kurtosis-y = Excess kurtosis
A11-zeros-title = Exact zeros before and after the norm and the activation, by depth
A11-zeros-caption = Share of values, with the interval over seeds. Behind a ReLU a norm turns all its zeros into one other value: they are no zeros any more, and still one value.
A11-zeros-x = Layer, from the input
A11-zeros-y = Share of values that are exactly 0
A11-group-norm-in = before the norm
A11-group-norm-out = after the norm
A11-group-activation = after the activation
A11-group-mlp-4 = fully connected, depth 4
A11-group-mlp-8 = fully connected, depth 8
A11-group-mlp-16 = fully connected, depth 16
A11-group-cnn-4 = convolutional, depth 4
A11-group-mlp-4-before-activation = fully connected, depth 4, norm before the activation
A11-group-mlp-8-before-activation = fully connected, depth 8, norm before the activation
A11-group-mlp-16-before-activation = fully connected, depth 16, norm before the activation
A11-group-cnn-4-before-activation = convolutional, depth 4, norm before the activation
A11-group-mlp-4-after-activation = fully connected, depth 4, norm after the activation
A11-group-mlp-8-after-activation = fully connected, depth 8, norm after the activation
A11-group-mlp-16-after-activation = fully connected, depth 16, norm after the activation
A11-group-cnn-4-after-activation = convolutional, depth 4, norm after the activation
