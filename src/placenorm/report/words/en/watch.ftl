# The page of a training that was watched, and its sentences in the terminal.
watch-title = what training showed
watch-tagline = What did training show?
watch-headline-unseen = No forward pass of the network was seen
watch-headline-clean = Nothing found while the network trained
watch-headline = { $counts } in { $steps }
watch-level = level { $level }, every { $every }
watch-level-all = level { $level }, every step
watch-trainings = { $forwards_count ->
    [one] { $forwards } training forward
   *[other] { $forwards } training forwards
}
watch-evaluations = { $forwards_count ->
    [one] { $forwards } evaluation forward
   *[other] { $forwards } evaluation forwards
}
watch-looks = { $looks_count ->
    [one] { $looks } look
   *[other] { $looks } looks
}
watch-kept = { $looks } kept
watch-unread = { $calls_count ->
    [one] { $calls } call not read, as there were too many
   *[other] { $calls } calls not read, as there were too many
}
watch-found = What was found

# Charts.
watch-steps = Over the steps
watch-legend = Show or hide
watch-step = step
watch-site = site
watch-value = value
watch-gradient-title = Gradient of { $parameters } of the network's parameters, Euclidean norm
watch-gradient-course = from { $first } at step { $start } to { $last } at step { $end }, at most { $most }
watch-gradient-caption = { $course }; the axis is logarithmic.
watch-gradient-caption-spikes = { $course }; the axis is logarithmic, dashed lines with a triangle are spikes.
watch-gradient-norm = gradient norm
watch-spike-steps = steps
watch-spike-range = { $first } to { $last }
watch-spike-peak = peak
watch-spike-usual = usual before
watch-drift-title = Drift of every site since the look before, in standard deviations
watch-drift-caption = Each line is the output of a site; the { $sites } that drift most have colours. The axis is logarithmic, and what is below { $floor } stands at its foot. Batches drift by chance too: hover over a mark to see by how much.
watch-drift-alt = Largest drift: { $rows }.
watch-drift-axis = drift (standard deviations)
watch-drift-noise = by chance
watch-drift-others = { $sites_count ->
    [one] { $sites } other site
   *[other] { $sites } other sites
}
watch-row = { $name } { $value }
watch-inside = Inside the network
watch-inside-intro = A row is a site, in the order they run; a column is a look.
watch-dead-title = Dead units
watch-dead-caption = Share of the units of an activation that no value of the last { $window } looks made active. It can be told from look { $window } on.
watch-dead-alt = Dead units at the last look: { $rows }.
watch-dead-none = Dead units: none at any site.
watch-dead-legend = dead
watch-dead-units = { $dead } of { $units } units
watch-active-title = Active values
watch-active-caption = Share of the values that an activation lets through. Half is what values around 0 give in front of a ReLU.
watch-active-alt = Active values at the last look: { $rows }.
watch-active-legend = active
watch-thinned = Of { $made } looks { $drawn } are drawn.
watch-signal = From the first look to the last
watch-signal-intro = How mean and spread go through the network, from its input at the top to its output. A signal that grows or fades from site to site makes gradients that do so too.
watch-mean-title = Mean of every site's output
watch-mean-caption = Mean over channels. The two lines are the first and the last look in training.
watch-mean-axis = mean
watch-var-title = Variance of every site's output
watch-var-caption = Mean over channels of their variances; the axis is logarithmic.
watch-var-axis = variance
watch-signal-alt = { $title }: at the first look from { $first } to { $first_end }, at the last from { $last } to { $last_end }, input to output.
watch-look-first = first look, step { $step }
watch-look-last = last look, step { $step }

# Tables.
watch-sites = Every site
watch-sites-basis = At the last look in training: mean and standard deviation over channels at the true input and output of each call; share of active values; units that none of the last looks made active; drift of the output since the look before, in its standard deviations, and in brackets what batches of this size drift by chance; norm of the gradient for the output.
watch-norms = Norms against their running statistics
watch-norms-basis = Distance of batches from the running statistics, in running standard deviations, over the last looks: what stays from look to look, and what changes with the batch. The variance ratio is the batch's over the running variance.
watch-shapes = Shape: normalised is not normal
watch-shapes-basis = Medians over channels at the last look in training. A norm moves and scales a distribution and keeps its shape: normalised does not mean normal, which would be 0 and 0.
watch-head-site = site
watch-head-what = what
watch-head-mean-in = mean in
watch-head-sd-in = sd in
watch-head-mean-out = mean out
watch-head-sd-out = sd out
watch-head-active = active
watch-head-dead = dead
watch-head-saturated = saturated
watch-head-drift = drift
watch-head-gradient = gradient
watch-head-norm = norm
watch-head-mode = mode
watch-head-values = values
watch-head-stays = stays
watch-head-changes = changes
watch-head-cause = cause
watch-head-ratio = var ratio
watch-head-updates = updates
watch-head-gamma = gamma
watch-head-beta = beta
watch-head-side = side
watch-head-skewness = skewness
watch-head-kurtosis = excess kurtosis
watch-head-zeros = exact zeros
watch-mode-training = training
watch-mode-evaluation = evaluation
watch-side-in = in
watch-side-out = out
watch-no-number = no number
watch-share = { $share } %
watch-of = { $part } of { $whole }
watch-with-noise = { $drift } ({ $noise })
watch-cause-small-batch = small batch
watch-cause-few-updates = few updates
watch-cause-slow-momentum = slow momentum
watch-cause-biased-variance = biased variance
watch-cause-frozen = frozen
watch-cause-data-shift = other data
