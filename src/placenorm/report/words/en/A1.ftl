A1-title = Mean 0 and variance 1 for every neuron
A1-article = Batch normalisation takes the mean and the variance over the batch, one of each per neuron: 128 samples and 100 neurons give 100 means and 100 variances. It subtracts the one and divides by the other; then every column has mean 0 and variance 1.
A1-question = Does a 128 × 100 batch give 100 means and 100 variances, is every neuron treated with its own alone, and does every column then have mean 0 and variance 1?
A1-design = The outputs of a fresh layer of 100 neurons for 128 training samples, with spreads up to sixteen times apart, are transformed in three ways: divided by the variance, as the article writes; divided by the standard deviation; and by torch’s own norm. Layer and samples are new under each seed.
A1-measure = The largest distance of any column’s mean from 0 and of its variance from 1; and how much neuron 7’s outputs change when all other neurons’ outputs do.
A1-rule = The norm must give one mean and one variance per neuron, leave neuron 7 alone when others change, and bring means and variances to within 0.001 of 0 and 1 under every seed. If division by the variance does so too, the claim holds; if only division by the standard deviation does, it holds only if that is what is divided by.
A1-holds = Right: { $neurons } means and { $neurons } variances, every neuron by its own, and mean 0 and variance 1 in every column, by the article’s own recipe ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A1-holds-only-if-standard-deviation = Right but for one word: there are { $neurons } means and { $neurons } variances, neuron { $neuron } is treated with its own alone, and every column has mean 0 and variance 1 to within { $tolerance } – if one divides by the standard deviation. Division by the variance, as the article writes, leaves columns with variances from { $least } to { $most } ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A1-does-not-hold = Not so here: columns do not have mean 0 and variance 1, or a neuron is not treated with its own statistics alone ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A1-undecided = { $seeds_count ->
    [one] One seed is
   *[other] { $seeds } seeds are
} too few to decide; give at least three.
A1-advice = Read “divide by the standard deviation, the square root of the variance (plus a small eps)”; all else stands as the article has it.
A1-effect-variance-error = Largest distance of a variance from 1, { $divisor ->
    [variance] divided by the variance
    [standard-deviation] divided by the standard deviation
   *[norm] by torch’s norm
}
A1-effect-mean-error = Largest distance of a mean from 0, in any of the three ways
A1-effect-others = Largest change of neuron 7’s outputs when all other neurons’ outputs change
A1-effect-from-norm = Largest distance from what torch’s norm gives, { $divisor ->
    [variance] divided by the variance
   *[standard-deviation] divided by the standard deviation
}
A1-published-algorithm = Ioffe and Szegedy divide by the square root of the variance plus eps in their Algorithm 1.
A1-variance-title = Each neuron’s variance after the transformation against its variance before
A1-variance-caption = One mark per neuron, first seed, both axes logarithmic. A flat line at 1 is what the claim says; division by the variance turns a wide neuron into a narrow one.
A1-variance-x = Variance before
A1-variance-y = Variance after
A1-group-variance = divided by the variance
A1-group-standard-deviation = divided by the standard deviation
A1-group-norm = torch’s norm
