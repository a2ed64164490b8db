# The page, the terminal and the document of the claims.

claims-title = The article’s claims, put to the test
claims-headline = { $total_count ->
    [one] The one claim that was tested: { $parts }.
   *[other] Of { $total } claims of the article, { $parts }.
}
claims-headline-none = No claim has all the trials of one seed yet.
claims-part-holds = { $number_count ->
    [one] one holds
   *[other] { $number } hold
}
claims-part-holds-only-if = { $number_count ->
    [one] one holds only under a condition
   *[other] { $number } hold only under a condition
}
claims-part-does-not-hold = { $number_count ->
    [one] one does not hold
   *[other] { $number } do not hold
}
claims-part-undecided = { $number_count ->
    [one] one is undecided
   *[other] { $number } are undecided
}
claims-lead = A short Persian article asks where exactly the BatchNorm layer belongs. Each of its claims is put to data here as an experiment, and a written rule makes the verdict from what was observed.
claims-left-out = Not asked, as samples of these data are no images: { $claims }.
claims-missing = Not finished yet: { $claims }. To go on, run the line below.
claims-fact-data = data: { $data }
claims-fact-samples = { $train } samples to train on, { $test } to test on
claims-fact-seeds = { $seeds_count ->
    [one] one seed
   *[other] { $seeds } paired seeds
}
claims-fact-trials = { $trials_count ->
    [one] one trial
   *[other] { $trials } trials
}
claims-fact-time = { $minutes_count ->
    [0] { $seconds } s of computing
   *[other] { $minutes } min of computing
}

claims-board-title = What became of every claim
claims-board-caption = A row is a claim, in the article’s order; its mark stands in the column of its verdict. Below it is the number that decides, with its interval. Choose a row to read the evidence.
claims-board-effect = { $label }: { $value }
claims-contents = Contents
claims-top = Back to the top

claims-says = The article says
claims-found = What we found
claims-advice = What to do
claims-effects = What the verdict rests on
claims-effects-note = The intervals that a claim’s rule uses share an error of 5 %; any other stands by itself, at 95 % or more. Where none is given, the number is no mean over seeds: it was proved, counted, or is the largest of all.
claims-effects-rest = { $rest_count ->
    [one] One more number
   *[other] { $rest } more numbers
}
claims-decides = decides
claims-head-effect = Measured
claims-head-value = Estimate
claims-head-interval = Interval
claims-head-seeds = Seeds
claims-how = How it was tested
claims-question = Question
claims-design = Design
claims-measure = Measure
claims-rule = Rule
claims-trials = { $trials_count ->
    [one] It stands on one trial.
   *[other] It stands on { $trials } trials.
}
claims-published = What others published
claims-none = none
claims-interval = { $low } to { $high }
claims-with-interval = { $value } ({ $low } to { $high })

unit-points = { $value } points
unit-percent = { $value } %
unit-ratio = { $value } times
unit-steps = { $value } steps
unit-sd = { $value } standard deviations

chart-legend = Show or hide
chart-table = The numbers as a table
chart-panel = Panel
chart-group = Group
chart-alt = { $title }. { $says }
chart-alt-line = { $group }: { $first } at { $from }, { $last } at { $to }
chart-alt-row = { $row }: { $value }
chart-alt-more = and { $rest } more

claims-made = How it was measured
claims-settings = Settings
claims-environment = Environment
claims-set-data = Data
claims-set-samples = Samples
claims-set-samples-value = { $train } for training, { $validation } for validation, { $test } for the test
claims-set-sample = Size of a sample
claims-set-classes = Classes
claims-set-hash = Hash of the data
claims-set-limit = At most
claims-set-limit-fixed = { $limit } samples to train and validate on, and { $limit } to test on
claims-set-limit-split = { $limit } samples in all
claims-set-run = Run
claims-set-full = long (--full)
claims-set-quick = quick
claims-set-seeds = Seeds
claims-set-claims = Claims
claims-set-time = Computing time
claims-set-time-value = { $seconds } s, on one core each
claims-env-date = Date
claims-env-placenorm = placenorm
claims-env-torch = torch
claims-env-python = Python
claims-env-platform = Platform
claims-env-cores = Cores
claims-env-device = Device

# The article's own example, step by step.
step-title = Step by step: the article’s example
step-intro = A column is a neuron, a row a sample: { $samples } samples × { $neurons } neurons. The numbers are made up. Neuron { $neuron } is framed, and its { $samples } outputs are drawn as a histogram too.
step-steps = Steps
step-previous = Previous
step-next = Next
step-help = The arrow keys step too.
step-of = Step { $place } of { $total }
step-raw = Raw outputs
step-mean = A mean for every column
step-centred = Mean subtracted
step-divided = Divided by the standard deviation
step-affine = Times gamma, plus beta
step-raw-says = Every neuron has its own level and its own spread. The outputs of neuron { $neuron } lie around { $mean } with a standard deviation of { $sd }; those for the first three samples are { $first }, { $second } and { $third }.
step-mean-says = Down each column one mean is taken over the { $samples } samples: { $neurons } means in all, and just as many variances. The mean of neuron { $neuron } is { $mean }; no other neuron has a part in it.
step-centred-says = Each column loses its own mean. Neuron { $neuron } now lies around { $mean }, as wide as before ({ $sd }): its first three outputs are { $first }, { $second } and { $third }.
step-divided-says = Each column is divided by its own standard deviation, √(var + eps), not by the variance. Neuron { $neuron } now has mean { $mean } and standard deviation { $sd }; its first three outputs are { $first }, { $second } and { $third }. The shape of the distribution is what it was.
step-affine-says = Each neuron is multiplied by its own gamma and gets its own beta, both learned: with { $gamma } and { $beta } neuron { $neuron } lies around { $mean } with a standard deviation of { $sd }, and its first three outputs are { $first }, { $second } and { $third }. So a network can leave the normal form where it must.
step-matrix-alt = The matrix of { $samples } samples and { $neurons } neurons as colours: blue below 0, orange above it.
step-histogram-alt = The { $samples } outputs of neuron { $neuron } as a histogram.
step-histogram = The outputs of neuron { $neuron }
step-mean-mark = mean
step-neuron = neuron { $neuron }
step-samples = samples
step-neurons = neurons

# The terminal.
terminal-folder-help = placenorm report { $folder } writes the page again.
terminal-written = Written: { $files }
