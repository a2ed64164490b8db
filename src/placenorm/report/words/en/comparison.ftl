# The verdict of a comparison, in sentences.
compare-and = { $first } and { $last }
compare-or = { $first } or { $last }
compare-comma = { $first }, { $last }
compare-measure-final = test { $metric }
compare-measure-speed = mean validation { $metric } over training
compare-no-norm = no norm{ $more }
compare-put = put the norm { $places }
compare-use-none = use { $call }
compare-leave = leave the norms as they are{ $more }
compare-use-placement = use the placement { $label }
compare-diverged-all = No placement trained: every one diverged at every seed; look at the learning rates, the loss and the data.
compare-only = { $wish }: it is the only placement that was compared.
compare-won = { $wish }: { $win }.
compare-tied-some = { $wish }: of the { $number } placements that none beats in { $measure } ({ $every }) it is { $cheap }; between them { $tie }.
compare-tied-all = { $wish }: where the norm goes makes no practical difference here ({ $every }), as in { $measure } { $tie }; of them it is { $cheap }.
compare-undecided = Undecided: no placement is shown to beat another in { $measure } ({ $every }); { $tie }; until then { $wish }, { $cheap }.
compare-unknown = Nothing can be said: { $metric } is NaN or infinite on the test data of every trial, though { $trained } of { $trials } trained to the end; give another --metric, or correct this one.
compare-unsteady = { $cheap } ({ $call } diverged at { $diverged } of { $seeds } seeds)
compare-win-unbeaten = it is the only placement that no other beats in { $measure }
compare-win-other = its { $measure } is better than that of the other placement, by { $size }
compare-win-others = its { $measure } is better than that of every other placement, on average by at least { $size }
compare-tie-margin = every difference lies within the margin of { $size }
compare-tie-one = the difference is undecided
compare-tie-every = all { $pairs } differences are undecided
compare-tie-part = { $open } of the { $pairs } differences are undecided
compare-tie-few = { $stand }, and fewer than { $least } seeds decide nothing
compare-tie-never = { $stand }, and even { $most } more seeds would probably not change that
compare-tie-clearest = { $stand }, and about { $more } more seeds would probably decide the clearest
compare-tie-decide-it = { $stand }, and about { $more } more seeds would probably decide it
compare-tie-decide-them = { $stand }, and about { $more } more seeds would probably decide them
compare-cheap-steady = the only one that never diverged
compare-cheap-equal = no dearer than any other
compare-cheap-none = the cheapest, as it has no norms to run
compare-cheap-least = the cheapest, as its norms move { $least } in a training step, the next { $next }
compare-points = { $value } percentage points
compare-percent = { $value } %
compare-level = { $metric } { $value }

compare-speed-alone = Speed: there is nothing to compare it with.
compare-speed-tied = Speed: no placement is shown to train faster than another; { $tie }.
compare-speed-claim = { $number_count ->
    [one] { $winners } trains faster than { $losers }
   *[other] { $winners } train faster than { $losers }
}
compare-speed = Speed: step for step, { $claims }; the widest lead is that of { $winner } over { $loser }: its validation { $metric } is better by { $size } on average over training{ $arrival }{ $rest }.
compare-speed-arrival = , and it reaches { $target } { $first } ({ $loser }: { $second })
compare-speed-rest = ; between { $names } nothing is shown
compare-arrives = after { $steps } steps and { $seconds } s
compare-arrives-in = in { $reached } of { $seeds } seeds

compare-cost-none = Cost: no network here has a norm, so none is paid for.
compare-cost-part = { $label } { $share } % of the bytes
compare-cost-clock = { $part } and { $time } % time by the clock
compare-cost-step = { $part } (a step takes { $time } ms)
compare-cost = Cost: what the norm takes of a training step: { $parts }.
compare-cost-beside = Cost: what the norm takes of a training step: { $parts } (median over trials that ran side by side); a step without norms takes { $time } ms.

# What a reader must know to judge it.
note-together = The { $intervals } intervals of both questions hold together with { $joint } % confidence; each one alone stands at { $each } %.
note-few-seeds = Nothing is decided from fewer than { $least } seeds.
note-second-look = Seeds that are added because of this verdict make a second look: with it, the chance of a false 'better' is about { $second } % and not { $first } %.
note-lost = { $name } diverged at every learning rate in { $lost } of { $seeds } seeds ({ $parts }); such a trial counts with the { $metric } of a model that learned nothing.
note-lost-part = seed { $seed } at step { $step }
note-empty = { $name } has no { $measure } at { $number_count ->
    [one] seed
   *[other] seeds
} { $seeds }; its pairs leave that out.
note-unfinished = Not finished: the verdict stands on { $finished } of { $seeds } seeds.
note-same-start = Every placement of a seed starts from the same weights wherever shapes agree.
note-same-start-and-batches = Every placement of a seed starts from the same weights wherever shapes agree and sees the same batches in the same order.
note-fixed-test = The test set is fixed, so the intervals cover seeds only, not the choice of test samples.
note-split-anew = The data are split anew for each seed, so the intervals cover seeds and splits.
note-data = { $text }
note-coarse = There are { $test } test samples: one of them is worth more than the margin, so more test data would say more.
note-torch = Trials ran under torch { $torch }: part of the differences between trials of one seed may be due to that.
note-skipped = { $label }: { $site } stays as it is, because { $reason }.
note-diverged = { $name }: { $diverged } of { $trials } trials diverged; such a rate is chosen only where every rate diverged.
note-rate-given = Every trial ran at the learning rate { $rates }, which was given; another rate may favour another placement.
note-rates = Each placement and seed chose its own learning rate from { $rates } by its validation loss; no choice lay at an end of the grid.
note-rates-grown = Each placement and seed chose its own learning rate from { $rates } by its validation loss; at { $grown } of { $seeds } seeds a choice lay at an end, so all placements of that seed also tried further rates (down to { $least }, up to { $most }).
note-rates-grown-far = Each placement and seed chose its own learning rate from { $rates } by its validation loss; at { $grown } of { $seeds } seeds a choice lay at an end, so all placements of that seed also tried further rates (down to { $least }, up to { $most }); at { $far } of them the search went as far as it goes.
