A10-title = The norm after the pool
A10-article = If pooling follows a convolution, move the norm behind the pool: with a 2×2 pool its computation, and its parameters, become four times fewer.
A10-question = How much less is the norm’s work behind a 2×2 pool, counted and on the clock; how much of a whole training step is that; and does the network stay as accurate?
A10-design = A network of two 3×3 convolutions, each with its ReLU and a 2×2 pool. On small and on larger images the norms behind the pool are timed in turn with the norms straight after the activation, forward and backward; the same place against itself is the control. Then the network is trained at both places, and at two more, with max pools and with average pools, each place at its better learning rate.
A10-measure = Values that the norms take and parameters that they have, counted; how many times less time the norms and the whole step take, over what the control’s do, averaged over seeds as logarithms; and the difference in test accuracy.
A10-rule = The work must be four times less. The time counts as said if it is more than three times less at every size of image, with the whole interval, and the accuracy as kept if it is less than a point below at most. All that together: the claim holds. If the norm is faster at some size, and some pool keeps the accuracy: it holds only for such images or pools. If it is nowhere faster, or both pools lose accuracy, it does not hold.
A10-holds = Right for the work: behind the pool the norms take { $work } times fewer values, and { $time_least } to { $time_most } times less time; a whole training step takes { $step } % less. The accuracy changes by { $accuracy_max } points with max pools and { $accuracy_average } points with average pools. The parameters stay as many: { $parameters_pool }, as before ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-holds-only-if-size = Right for the work: behind the pool the norms take { $work } times fewer values. On the clock it depends on the size: { $time_large } times less on { $large }×{ $large } images, but { $time_small } times on { $small }×{ $small } images, where a call costs more than its work. A whole training step takes { $step } % less on the larger images. The accuracy changes by { $accuracy_max } points with max pools ({ $keeping_max ->
    [kept] kept
    [lost] lost
   *[open] these seeds do not decide it
}) and { $accuracy_average } points with average pools ({ $keeping_average ->
    [kept] kept
    [lost] lost
   *[open] these seeds do not decide it
}). The parameters do not become fewer: { $parameters_after } and { $parameters_pool }, since they belong to channels ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-holds-only-if-pool = Right for the work: behind the pool the norms take { $work } times fewer values, and { $time_least } to { $time_most } times less time. But not every pool keeps the accuracy: it changes by { $accuracy_max } points with max pools and { $accuracy_average } points with average pools. The parameters do not become fewer: { $parameters_after } and { $parameters_pool } ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-holds-only-if-pool-size = Right for the work: behind the pool the norms take { $work } times fewer values. On the clock it is { $time_large } times less on { $large }×{ $large } images and { $time_small } times on { $small }×{ $small } images. And not every pool keeps the accuracy: it changes by { $accuracy_max } points with max pools and { $accuracy_average } points with average pools. The parameters do not become fewer: { $parameters_after } and { $parameters_pool } ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-does-not-hold-work = Not so here: behind the pool the norms take { $work } times fewer values, not four times ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-does-not-hold-time = Not so here: the norms take { $work } times fewer values behind the pool, and yet no less time at any size of image ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-does-not-hold-accuracy = Not so here: the norms are faster behind the pool, but the accuracy is lost: it changes by { $accuracy_max } points with max pools and { $accuracy_average } points with average pools ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A10-undecided = { $seeds_count ->
    [one] One seed does not
   *[other] { $seeds } seeds do not
} decide it. Behind the pool the norms take { $work } times fewer values and { $time_least } to { $time_most } times less time; the accuracy changes by { $accuracy_max } points with max pools and { $accuracy_average } points with average pools.
A10-advice = Where a pool follows and the maps are large, put the norm behind it and measure the accuracy on your own data; in our networks the norms after the activation were { $share } % of a training step, so four times less norm is not four times less step.
A10-effect-time = Times less time for the norms, { $side }×{ $side } images
A10-effect-accuracy = Test accuracy after the pool less after the activation, { $pool ->
    [max] max pools
   *[average] average pools
}
A10-effect-step = Times less time for a whole training step, { $side }×{ $side } images
A10-effect-accuracy-swapped = Test accuracy with pool, norm, activation in this order less after the activation, max pools
A10-published-page = Page measured pool, norm, ReLU in 50 runs on CIFAR-10: 94.0 % instead of 94.1 %, and a further 5 s less of a training that took just under 70 s.
A10-published-half = A network of the caffenet-benchmark with norms only after its pools and its first fully connected layer reached 54.4 % instead of 55.3 % with norms everywhere (one run each, so an indication only).
A10-cost-title = How many times less time the norms and the whole step take, by size of image
A10-cost-caption = Time at the place after the activation over that at the place named, geometric mean over seeds with its interval; both were timed in turn. After the activation itself is the control. The x axis is logarithmic.
A10-cost-x = Side of the image (pixels)
A10-cost-y = Times less
A10-accuracy-title = Test accuracy by the place of the norm and the kind of pool
A10-accuracy-caption = Mean over seeds with its interval, in percent, each place at its better learning rate.
A10-accuracy-x = Test accuracy (%)
A10-accuracy-y = Place of the norm
A10-group-norm = the norms
A10-group-step = the whole step
A10-group-max = max pools
A10-group-average = average pools
