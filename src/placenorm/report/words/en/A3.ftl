A3-title = The distance from 0 and what it says about outliers
A3-article = After normalising, the distance of a value from 0 says how likely it is an outlier: a normal variable seldom leaves the range from −1 to 1, and a 5 is probably an error made while recording.
A3-question = How often are normalised values beyond 1, 2, 3 and 5 in trained networks; do large distances point at corrupted samples; and is 5 probably an error?
A3-design = Plain networks are trained with the norm before and after the activation. Every test sample is also copied with an error of recording: one value ten times too large, 5 % of the values at the largest, all ten times too bright, or ten times too dark. Rates are those of a set in which 2 % of the samples are such copies. Beside it, one wild value among n is normalised by all n.
A3-measure = The share of values beyond 3 over the normal table’s 0.27 %; the area under the ROC curve of a sample’s largest distance at any norm (0.5 is chance); and how many of the samples with a distance of 5 or more are corrupted. The same for distances that are counted on good samples, as `pn.outliers` does.
A3-rule = The claim holds if the area is above 0.55, values beyond 3 are within a factor of 2 of the normal table at both placements, and most samples with a 5 are corrupted. If the area is above 0.55 and one of the others certainly fails, it holds only if one counts on good samples instead – provided that most of what counting flags is corrupted. It does not hold if the area is 0.55 or less, or if counting fails too.
A3-holds = Right: the largest distance at the norms tells corrupted samples from good ones (area { $area }), its rates are near the normal table’s, and { $precision } % of the samples with a 5 are corrupted ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A3-holds-only-if-counted = Half right. Large distances do point at corrupted samples (area { $area }), and of single values beyond 5, { $value_precision } % come from one. But the normal table does not say how likely that is: values beyond 3 are { $ratio_before } times as frequent as it says before the activation and { $ratio_after } times after it. A sample has so many values that { $alarms } % of the good ones have a 5 somewhere, and only { $precision } % of the samples with a 5 are corrupted; with distances counted on good samples it is { $counted_precision } %, and the area { $counted_area } ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A3-does-not-hold = Not so here: the largest distance at the norms ranks corrupted samples no better than chance (area { $area }), or neither it nor counting says which samples are probably corrupted: { $precision } % and { $counted_precision } % of what they flag ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A3-undecided = Not decided with { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}: the area is { $area }, and { $precision } % of the samples with a 5 are corrupted.
A3-undecided-unlike = Half decided. Large distances do point at corrupted samples (area { $area }), but the normal table does not say how likely that is: values beyond 3 are { $ratio_before } times as frequent as it says before the activation and { $ratio_after } times after it, and { $precision } % of the samples with a 5 are corrupted. With { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
} it is open whether counting on good samples does better than a coin: { $counted_precision } % of what it flags is corrupted.
A3-advice = Look at the furthest samples first, let `pn.outliers` count on good samples what is usual instead of reading it off the normal table, and remember that a 5 needs { $least_values } values in the batch.
A3-effect-area = Area under the ROC curve, { $way ->
    [norms] largest distance at any norm
    [input] largest distance at the input
   *[counted] distance counted on good samples
}
A3-effect-precision = Share that is corrupted, { $way ->
    [norms] of samples with 5 or more at a norm
    [input] of samples with 5 or more at the input
    [values] of single values of 5 or more at norms
   *[counted] of samples with a counted surprise of 1 % or less
}
A3-effect-tail-ratio = Values beyond 3 over the normal table’s share, norm { $placement ->
    [before-activation] before the activation
   *[after-activation] after the activation
}
A3-effect-beyond = Share of values beyond { $far }, { $site ->
    [input] at the input
    [before-activation] at norms before the activation
   *[after-activation] at norms after the activation
}
A3-effect-bound-error = Largest deviation of a wild value’s distance from √(n − 1)
A3-published-table = A normal variable is beyond 1 in 31.7 %, beyond 2 in 4.6 %, beyond 3 in 0.27 % and beyond 5 in 0.000057 % of cases.
A3-published-bound = Among n values none is further from their mean than √(n − 1) standard deviations, so that a 5 needs at least 26 values.
A3-tails-title = How often a normalised value is further from 0 than 1, 2, 3 and 5
A3-tails-caption = Share of values in trained networks, on samples that they were not trained on, with the interval over seeds, beside a normal variable. The axis is logarithmic.
A3-tails-x = Distance from 0
A3-tails-y = Share of values beyond
A3-found-title = How well corrupted samples are told from good ones, by kind of error
A3-found-caption = Area under the ROC curve, with the interval over seeds; 0.5 is chance, 1 is without a mistake. Below 0.5 corrupted samples look more usual than good ones.
A3-found-x = Error of recording
A3-found-y = Area under the ROC curve
A3-limit-title = The largest distance that one value can have among n
A3-limit-caption = One wild value among n, normalised by the mean and the variance of all n, beside the bound √(n − 1).
A3-limit-x = Number of values, n
A3-limit-y = Distance from 0
A3-group-normal = normal table
A3-group-input = input
A3-group-norms = largest distance at the norms
A3-group-counted = counted on good samples
A3-group-one-value = one value
A3-group-salt = salt
A3-group-bright = too bright
A3-group-dark = too dark
A3-group-bound = √(n − 1)
A3-group-measured = measured
