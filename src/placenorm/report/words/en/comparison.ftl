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
compare-idle-all = Nothing can be said yet: no placement is shown to do better in { $measure } than one and the same answer to every sample, which reaches { $level }; train longer (--epochs), on more data, or at other rates (--lr).
compare-idle = By intervals that hold for all placements together, not shown to do better in { $measure } than one and the same answer to every sample, which reaches { $level }: { $names }.
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
note-every-look = The intervals hold after every seed at once: neither an early stop nor seeds that are added because of this verdict raise the chance of a false 'better'. They are made for { $planned } planned seeds.
note-stopped-decided = Stopped after { $seeds } of { $asked } seeds: every difference in { $measure } is decided.
note-stopped-futile = Stopped after { $seeds } of { $asked } seeds: to go by the seeds so far, none of the differences in { $measure } that are left would be decided by { $asked } seeds with a chance of { $chance } % or more.
note-arms-stopped = Not trained to the last seed, as all about them was decided, or would hardly be within { $asked } seeds: { $parts }.
note-arms-stopped-part = { $name } after { $seeds_count ->
    [one] { $seeds } seed
   *[other] { $seeds } seeds
}
note-share = This took about { $share } % of the training steps of the whole grid: { $arms } placements, { $asked } seeds, and every learning rate that any placement of a seed tried.
note-share-search = The { $trials } trials of the search are not counted in that.
note-share-own = This took { $share } % of the training steps of { $arms } placements at { $asked } seeds.
budget-time = The budget of { $budget } ended this run after { $minutes } min, with { $trials } finished trials; to go on, add --resume and a budget for another run.
budget-trials = The budget of { $budget } ended this with { $trials } finished trials; to go on, add --resume and a larger budget.
budget-gpu-hours = The budget of { $budget } ended this with { $trials } finished trials, which took { $hours } GPU hours; to go on, add --resume and a larger budget.
note-lost = { $name } diverged at every learning rate in { $lost } of { $seeds } seeds ({ $parts }); such a trial counts with the { $metric } of a model that learned nothing.
note-lost-part = seed { $seed } at step { $step }
note-empty = { $name } has no { $measure } at { $number_count ->
    [one] seed
   *[other] seeds
} { $seeds }; its pairs leave that out.
note-unfinished = Not finished: the verdict stands on { $finished } of { $seeds } seeds.
note-same-start = Every placement of a seed starts from the same weights wherever shapes agree.
note-same-start-and-batches = Every placement of a seed starts from the same weights wherever shapes agree and sees the same batches in the same order.
note-unpaired = The training loader gave other batches when it was read again under the same seed: it draws from a state that placenorm cannot set, so the placements of a seed saw different batches, and their differences scatter more.
note-fixed-test = The test set is fixed, so the intervals cover seeds only, not the choice of test samples.
note-split-anew = The data are split anew for each seed, so the intervals cover seeds and splits.
note-data = { $text }
note-coarse = There are { $test } test samples: one of them is worth more than the margin, so more test data would say more.
note-precision = The networks computed in { $name } where autocast does, in training and in evaluation; parameters, losses and metrics are wider.
note-compiled = The networks were compiled by torch.compile; the first steps of a trial include that, so the times of a step are medians.
note-processes = Each trial was trained by { $number } processes together, each on its share of every batch, with the statistics of its norms taken over the whole batch.
note-checkpoint-damaged = { $number_count ->
    [one] The checkpoint of a trial was damaged, so it began anew: { $name }.
   *[other] The checkpoints of { $number } trials were damaged, so they began anew: { $name }.
}
note-checkpoint-unwritten = { $number_count ->
    [one] A checkpoint of a trial could not be written: { $name }; killed there, it would have begun anew.
   *[other] Checkpoints of { $number } trials could not be written: { $name }; killed there, they would have begun anew.
}
note-torch = Trials ran under torch { $torch }: part of the differences between trials of one seed may be due to that.
note-skipped = { $label }: { $site } stays as it is, because { $reason }.
note-diverged = { $name }: { $diverged } of { $trials } trials diverged; such a rate is chosen only where every rate diverged.
note-failed = { $name }: { $failed } of { $trials } trials failed, at { $number_count ->
    [one] seed
   *[other] seeds
} { $seeds }, which its pairs leave out, as if by chance: `better` may be an effect of that; the last: { $reason }.
note-failed-all = { $name }: all its trials failed ({ $failed }), so nothing is said of it; the last: { $reason }.
note-pair-seeds = Trials failed, so these pairs stand on fewer than the { $finished } finished seeds: { $parts }.
note-pair-seeds-part = { $first_name } and { $second_name } on { $seeds }
note-rate-given = Every trial ran at the learning rate { $rates }, which was given; another rate may favour another placement.
note-rates = Each placement and seed chose its own learning rate from { $rates } by its validation loss; no choice lay at an end of the grid.
note-rates-searched = Each placement and seed searched its own learning rate by its validation loss, from the middle one of { $rates } to the neighbours of the best so far (from { $least } to { $most } in all); { $ended } of { $trials } trials ended before their time, as they were behind.
note-rates-grown = Each placement and seed chose its own learning rate from { $rates } by its validation loss; at { $grown } of { $seeds } seeds a choice lay at an end, so all placements of that seed also tried further rates (down to { $least }, up to { $most }).
note-rates-grown-far = Each placement and seed chose its own learning rate from { $rates } by its validation loss; at { $grown } of { $seeds } seeds a choice lay at an end, so all placements of that seed also tried further rates (down to { $least }, up to { $most }); at { $far } of them the search went as far as it goes.

# Numbers with their nouns, units and words of pairs.
count-seeds = { $number_count ->
    [one] { $number } seed
   *[other] { $number } seeds
}
count-trials = { $number_count ->
    [one] { $number } trial
   *[other] { $number } trials
}
count-epochs = { $number_count ->
    [one] { $number } epoch
   *[other] { $number } epochs
}
count-steps = { $number_count ->
    [one] { $number } step
   *[other] { $number } steps
}
count-blocks = { $number_count ->
    [one] { $number } block
   *[other] { $number } blocks
}
count-norms = { $number_count ->
    [one] { $number } norm
   *[other] { $number } norms
}
compare-head = { $name } (%)
compare-interval = { $low } to { $high }
compare-share = { $value } %
compare-unit-points = percentage points
compare-progress = { $label }: { $trials }
compare-failed = { $number_count ->
    [one] { $number } failed trial
   *[other] { $number } failed trials
} ({ $keys }): { $reason }
compare-failed-more = { $keys } and { $more } more
word-better = better
word-no-practical-difference = no practical difference
word-undecided = undecided
word-winner = { $winner } better
word-more = undecided (+{ $seeds })
tag-advised = advised
tag-unbeaten = unbeaten
tag-baseline = baseline
tag-diverged = { $diverged } of { $seeds } diverged

# Charts.
draw-higher = { $what }, higher is better
draw-lower = { $what }, lower is better
draw-scores-title = Test { $metric } of every placement
draw-scores-caption = A dot is a seed, the large mark the mean over { $seeds }, the bar its 95 % interval. Placements are judged on the paired differences below, not on whether these bars overlap.
draw-scores-alt = Test { $metric }, best first: { $rows }. { $best } has the best mean.
draw-validation = validation { $metric }
draw-loss = validation loss
draw-log = { $what }, log scale
draw-step = training steps
draw-time_s = seconds of training
draw-target = target { $level }
draw-curve-alt = { $what } over { $clock }. At the end: { $rows }.
draw-curve-loss = The loss that chose the learning rates
draw-curve-fastest = { $variant } trains fastest: { $level } after { $steps } steps
draw-curve-title = Validation { $metric } over { $clock }
draw-curve-caption-loss = Mean and range over the seeds. Each seed of a placement uses the rate with the lowest loss at the end.
draw-curve-caption-seconds = The same, over the seconds spent in training steps.
draw-curve-caption = Mean { $what } over the seeds, each at its own learning rate; the band reaches from the lowest to the highest seed. A seed that diverged ends its part of the curve there.
draw-speed = speed of training
draw-differences-none = No practical difference in { $what }
draw-differences-open = No placement is shown to be better in { $what }
draw-differences-unbeaten = Nothing beats { $names } in { $what }
draw-differences-axis = difference ({ $unit })
draw-differences-caption = Differences in { $measure }, paired over seeds; right of 0 the first of the two is better. The shaded band is the margin, ±{ $margin }: differences inside it have no practical meaning. All intervals of both questions hold together with { $confidence } % confidence.
draw-differences-alt = Differences in { $measure }, { $unit }: { $rows }.
draw-pair = { $first } vs { $second }
draw-dead-none = No unit is dead in any placement
draw-dead-title = Most dead units: { $variant }, { $share } at { $activation }
draw-dead-caption = Share of units (channels of a map, or features), in percent, that were never on for the validation data, at the end of training, the mean over seeds. The network's input is on the left; the strongest colour is { $most }.
draw-dead-alt = Mean share of dead units over all activations: { $rows }. { $title }.
draw-active-title = Values that are on: { $least } in { $low }, { $most } in { $high }, on average
draw-active-even = On average, { $share } of the values are on
draw-active-caption = Share of the values of an activation, in percent, that were on for the validation data, at the end of training, the mean over seeds. The network's input is on the left; the strongest colour is { $most }.
draw-active-alt = Mean share of values that are on, over all activations: { $rows }. { $title }.
draw-shares-order = activations in network order
draw-shares-mean = mean { $share }
draw-times-title = What a training step takes
draw-times-caption = A dot is one trial; the bar compares trials of the same seed and rate, which ran side by side.
draw-thinned = { $caption } Of more than { $most } dots of a placement, evenly spaced ones are drawn.
draw-times-alt = Median wall time of one training step: { $rows }.
draw-times-axis = wall time of one training step (ms)
draw-times-line = { $time } ms
draw-times-share = norms: { $share } % of the bytes
draw-tip-variant = variant
draw-tip-seed = seed
draw-tip-step = step
draw-tip-seconds = seconds
draw-tip-mean = mean { $what }
draw-tip-seeds = seeds
draw-tip-pair = pair
draw-tip-difference = difference
draw-tip-activation = activation
draw-tip-mean-share = mean
draw-tip-fewest = lowest seed
draw-tip-most = highest seed
draw-tip-interval = 95 % interval
draw-tip-rate = learning rate
draw-tip-step-time = a step takes

# What would be trained.
planned-grid = { $trials } trials, or more: { $arms } placements, { $seeds } seeds and { $rates } learning rates, and further rates where the best one lies at an end.
planned-grid-fixed = { $trials } trials: { $arms } placements and { $seeds } seeds.
planned-early = { $trials } trials in the whole grid of { $arms } placements, { $seeds } seeds and { $rates } learning rates; the comparison stops where more would not be worth it.
planned-early-fixed = { $trials } trials in the whole grid of { $arms } placements and { $seeds } seeds; the comparison stops where more would not be worth it.
planned-search = First a search: { $choices } blocks have a choice, which makes { $size } placements; it may take { $trials } trials.
planned-judged = Then { $arms } placements at most are judged on fresh seeds: { $trials } trials for { $seeds } seeds and { $rates } learning rates, or more where the best rate lies at an end.
planned-judged-fixed = Then { $arms } placements at most are judged on fresh seeds: { $trials } trials for { $seeds } seeds.
planned-budget = With --budget { $budget } it ends where that is spent, if it comes first.
planned-budget-search = With --budget { $budget } it ends where that is spent, if it comes first; the search may take half of it.
planned-nothing = Nothing was trained or written; without --dry-run it begins.

# What a search found.
search-title = What the search found
search-intro = On validation data and at the { $seeds } seeds of the search, which are not the verdict's, and for these seeds alone. A block's largest difference between two positions, the other blocks as they come; all intervals hold together with { $confidence } % confidence.
search-found = Search: { $tried } of { $size } placements were tried at { $seeds } seeds each, in { $trials } trials, { $ended }; on their validation data the best of them, "searched", reached a mean { $metric } of { $reached }, and the best named one, { $policy }, { $beside }. What that is worth, only the verdict says: it stands on seeds that the search never saw.
search-named = Search: { $tried } of { $size } placements were tried at { $seeds } seeds each, in { $trials } trials, { $ended }; on their validation data none was better by more than the margin than the named { $name }, which reached a mean { $metric } of { $reached }. The verdict stands on seeds that the search never saw.
search-failed = Of its trials { $failed } failed, and a placement with such a trial is left out ({ $names }); the last: { $reason }.
search-failed-others = others
search-ended-all = and there are no more
search-ended-trials = as many as it might take
search-ended-budget = as far as the budget went
search-blocks = Of { $choices } blocks with a choice, { $matters_count ->
    [one] one matters
   *[other] { $matters } matter
} ({ $names }), { $idle } do not, and of { $open } it is not known, by the { $drawn } placements that were drawn at random.
search-blocks-none = None of { $choices } blocks with a choice is shown to matter: { $idle } are shown not to, and of { $open } it is not known, by { $drawn_count ->
    [one] the one placement that was
   *[other] the { $drawn } placements that were
} drawn at random.
search-head-block = Block
search-head-position = Position found
search-head-effect = Largest difference
search-head-interval = Interval
search-head-word = Where its norm stands
search-effect = { $first } over { $second }: { $gap }
search-word-matters = matters
search-word-not = does not matter
search-word-unknown = not known

# The page.
page-unfinished = Not finished yet
page-unfinished-reason = { $done } of at least { $planned } are in the store, too few for a verdict. To go on, run the line below.
page-own-data = data of your own loop
page-length = { $epochs }, { $steps }
page-resume-label = the command that goes on
page-numbers = The numbers
page-numbers-intro = Means over { $seeds }, each at the learning rate that its own validation loss chose.
page-numbers-target = Target: a validation { $metric } of { $target }.
page-head-placement = Placement
page-head-test = Test { $metric }
page-head-steps = Steps to target
page-head-seconds = Seconds to target
page-head-area = Area under the curve
page-head-dead = Dead units
page-head-time = Time per step (ms)
page-head-rates = Learning rates
page-reached = { $reached } of { $seeds }
page-differences = Which differences are real
page-curves = While it trained
page-legend = Colours and marks of the placements
page-inside = Inside the network
page-network = Where the norms are
page-network-intro = Every box is a block: a weight op and the chain it feeds, in the order they run.
page-network-count = { $blocks }, { $norms }
page-skipped = Asked for and not done:
page-costs = What the norms cost
page-costs-intro = Counted on the example input, without a clock: what the norms alone move in one step, and their share of all bytes that the network moves.
page-cost-placement = Placement
page-cost-norms = Norms
page-cost-parameters = Gammas and betas
page-cost-training = Moved in a training step
page-cost-share = Share of all bytes
page-cost-inference = Moved in inference, if not folded
page-use = Use { $pick }
page-use-label = the Python that places the norm
page-failed = Failed trials
page-failed-intro = They have no result and count nowhere; the same command with --resume tries them again.
page-how = How it was measured
page-again-comparison = the command that repeats this comparison
page-settings = Settings
page-environment = Environment
page-set-model = Model
page-set-weights = Weights
page-set-data = Data
page-set-samples = Samples
page-set-precision = Precision
page-set-compiled = Compiled
page-set-compiled-yes = by torch.compile
page-set-search = Search, trials
page-set-processes = Processes of a trial
page-set-samples-unknown = as many as the loaders give
page-set-samples-value = { $train } train, { $validation } validation, { $test } test
page-set-sample = Sample
page-set-test = Test set
page-set-test-fixed = the same for every seed
page-set-test-split = split again for each seed
page-set-hash = Data hash
page-set-loop = Training loop
page-set-placements = Placements
page-set-seeds = Seeds
page-set-stop = Stops
page-set-stop-early = early, when nothing more is to be decided
page-set-epochs = Epochs
page-set-batch = Batch size
page-set-rates = Learning rates
page-set-grown = Grid grew by
page-set-optimizer = Optimizer
page-set-optimizer-value = { $optimizer }, { $schedule } schedule
page-set-metric = Metric
page-set-metric-higher = { $metric }, higher is better
page-set-metric-lower = { $metric }, lower is better
page-set-margin = Margin
page-set-norms = Norms
page-set-trials = Trials
page-env-date = Date
page-env-placenorm = placenorm
page-env-torch = torch
page-env-python = Python
page-env-platform = Platform
page-env-cores = Cores
page-env-device = Device
picture-own-data = own data

# The terminal.
terminal-verdict = Verdict
terminal-notes = Notes
terminal-columns = The target is what the worst placement reaches in the end; area: mean height of the validation curve; dead units: channels or features that no validation sample switches on.
terminal-own = On your own network and data:
terminal-unfinished = No verdict yet: { $done } of at least { $planned } are done.
terminal-go-on = To go on, run:

metric-accuracy = accuracy
