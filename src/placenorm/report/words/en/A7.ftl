A7-title = Training after one nearly infinite gradient
A7-article = With special losses a single batch can give a nearly infinite gradient. It kills units until the output no longer depends on the input. With batch normalisation, training can resume.
A7-question = After one step with a gradient far above the usual, or with a singular loss, which placement gets back to where it was, how far and how fast, and from what size on does none?
A7-design = A network of four hidden layers is trained by SGD with momentum, which carries a wild gradient into the steps that follow; then one step is wild, and training goes on twice as long as before, in the long run eight times as long. The wild step has its gradient multiplied by 1,000 to 1,000,000, or a singular loss: −log p at p = 0.000001 and a root at 10⁻¹², with gradients that are numbers; the root at 0, the mean over an empty mask and one NaN in the batch, with gradients that are none; and that NaN with the step left out, as gradient scalers do.
A7-measure = Of the validation accuracy above chance that the network had before the wild step, the share that it has again at the end, in evaluation mode.
A7-rule = The six wild steps whose gradients are numbers count. A network is back if it has more than 90 % of what it had learned, learns again if more than 10 %, and is dead if at most 10 %, each with the whole interval. If networks with either norm are back wherever those without a norm are not, the claim holds. If they are back somewhere where those without are not, it holds only there. If they learn again where those without stay dead, it holds only if resuming need not mean getting back. If they are dead after all six, or those without a norm are always back as well, it does not hold.
A7-holds = Right: with a norm the network gets back wherever it does not without: { $least_before } % of what it had learned with the norm before the activation and { $least_after } % with the norm after it, against { $least_none } % without one, after a gradient 1,000 times the usual, and { $most_before }, { $most_after } and { $most_none } % after one of 1,000,000 times ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A7-nan = Where the gradient is no number, { $nan_before } % (norm before the activation), { $nan_after } % (after it) and { $nan_none } % (no norm) come back.
A7-holds-only-if-size = Right after some wild steps: of { $events }, the network gets back after { $saved_before } with the norm before the activation and after { $saved_after } with the norm after it where it does not without. After a gradient 1,000 times the usual it is back at { $least_before } % of what it had learned with the norm before the activation and { $least_after } % with the norm after it, against { $least_none } % without one; after one of 1,000,000 times at { $most_before }, { $most_after } and { $most_none } %. { $lost_from ->
    [never] No size was found from which on none gets back.
   *[other] From { $lost_from } times on none gets back.
} { A7-nan } This stands on { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}.
A7-holds-only-if-part = Half right: of { $events } wild steps, there are { $revived_before } after which a network with the norm before the activation learns again while one without stays dead, and { $revived_after } with the norm after it; { $killed_before } and { $killed_after } leave networks with these norms dead too. That one gets back to where it was could not be shown where it does not without a norm. Within { $epochs } more passes over the data it has again { $least_before } % of what it had learned (norm before the activation) and { $least_after } % (after it) when the gradient was 1,000 times the usual, and { $most_before } % and { $most_after } % when it was 1,000,000 times; without a norm { $least_none } % and { $most_none } %. { A7-nan } If such a step is left out, { $skipped_none } % are there without a norm, and with one { $skipped_before } % and { $skipped_after } %, for the running statistics hold the NaN; with the batch’s statistics it is { $skippedbatch_before } % and { $skippedbatch_after } % ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A7-does-not-hold-no-need = Not so here: without a norm too, the network gets back after every wild step: { $least_none } % of what it had learned after a gradient 1,000 times the usual, { $most_none } % after one of 1,000,000 times ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A7-does-not-hold-dead = Not so here: with a norm too, the network stays dead: it has again { $least_before } % (norm before the activation) and { $least_after } % (after it) of what it had learned after a gradient 1,000 times the usual, { $least_none } % without a norm ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A7-undecided = { $seeds_count ->
    [one] One seed does not
   *[other] { $seeds } seeds do not
} decide it: after a gradient 1,000 times the usual the network has again { $least_before } % of what it had learned (norm before the activation), { $least_after } % (after it) and { $least_none } % (no norm); after one of 1,000,000 times { $most_before }, { $most_after } and { $most_none } %.
A7-advice = Do not rely on the norm for this: clip gradients, leave out steps whose gradient is no number, keep checkpoints, and after a NaN reset the running statistics.
A7-effect-back = What came back after a gradient { $times } times the usual, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A7-effect-back-log-near-zero = What came back after −log p near zero, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A7-effect-back-root-near-zero = What came back after a root near zero, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A7-back-title = What came back, by the size of the gradient in one step
A7-back-caption = Share of what had been learned above chance, in evaluation mode at the end, with its interval over seeds. The x axis is logarithmic; 1 is the control, an ordinary step.
A7-back-x = Times the usual gradient
A7-back-y = Came back
A7-loss-title = What came back after one step with a singular loss
A7-loss-caption = Share of what had been learned above chance, in evaluation mode at the end, with its interval over seeds. In the last group the step with the NaN was left out.
A7-loss-x = Loss
A7-loss-y = Came back
A7-course-title = Validation accuracy after the wild step
A7-course-caption = Mean over seeds; a panel is a size of the gradient. The x axis is logarithmic.
A7-course-x = Steps since the wild step
A7-course-y = Validation accuracy
A7-group-log-near-zero = −log p near 0
A7-group-root-near-zero = root near 0
A7-group-root-at-zero = root at 0
A7-group-empty-mask = empty mask
A7-group-nan-batch = NaN in the batch
A7-group-nan-batch-skipped = NaN, step left out
A7-group-times-1 = an ordinary step
A7-group-times-1000 = 1,000 times
A7-group-times-10000 = 10,000 times
A7-group-times-100000 = 100,000 times
A7-group-times-1000000 = 1,000,000 times
