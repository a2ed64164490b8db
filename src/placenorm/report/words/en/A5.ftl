A5-title = Always the same distribution for the next unit
A5-article = When A and B, which feed N, change a little, N must learn its simple task again and again, the more so the deeper the network. With batch normalisation N always sees the same distribution, so that even large changes below do not disturb it.
A5-question = When A and B change, how far does N move, and how long must it learn until it is back? Do the distributions inside a network move less while it trains? And does training still gain when that movement is put back behind the norm?
A5-design = The article’s own scene first. Networks of one and eight hidden layers (in the long run of four and twenty too) are trained; the units of its first layer are pairs A and B, its outputs are the N’s. Then A and B are rescaled (e times larger and smaller), shifted (up and down by a standard deviation), or mixed (turned into each other by an eighth of a turn), and only N learns. Second, the inputs of every layer are followed through trainings of two and eight hidden layers (in the long run of 4, 12 and 20 too). Third, the counter-experiment of Santurkar and colleagues: behind every norm each channel is shifted and scaled at random, anew at every step.
A5-measure = How far N moves, in its own standard deviations, with the statistics of the batch, at the worst of the depths at which networks with and without a norm had all learned; how far the inputs of the layers drift in four training steps, in their own standard deviations; and the mean validation accuracy over training.
A5-rule = N is undisturbed by a change if it moves by at most a tenth of a standard deviation, and disturbed if by more, each with the whole interval. If all three changes leave it undisturbed with either norm, and the inputs drift less, the claim holds. If some do that disturb it without a norm, it holds only for those. If all three disturb it with either norm, it does not hold.
A5-back = Steps until the accuracy is back within a point after the mixing, N alone learning: { $steps_before ->
    [never] more than 200
   *[other] { $steps_before }
} with the norm before the activation, { $steps_after ->
    [never] more than 200
   *[other] { $steps_after }
} with it after, { $steps_none ->
    [never] more than 200
   *[other] { $steps_none }
} without one.
A5-holds = Right: with a norm N moves by hardly anything, however A and B change, and the inputs of the layers drift by { $drift_before } and { $drift_after } standard deviations (norm before and after the activation) instead of { $drift_none }. { $cause ->
    [other] But drift is not why training gains: with drift put back behind the norm the gain stayed.
    [drift] And the gain in training goes when drift is put back behind the norm.
   *[open] Whether that is why training gains stays open here.
} This stands on { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}.
A5-holds-only-if-moments = Half right: the norm takes away a change of scale and of mean, however large, and nothing else. With the norm before the activation N moves by { $rescale_before } standard deviations when A and B are rescaled and by { $shift_before } when they are shifted, without a norm by { $rescale_none } and { $shift_none }; with the norm after the activation by { $rescale_after } and { $shift_after }, because the ReLU turns a shift into another shape. When A and B are mixed, N moves by { $mix_before } and { $mix_after } with a norm and { $mix_none } without. So “always the same distribution” means two moments. { A5-back } { $calmer ->
    [yes] While training, the inputs of the layers do drift less:
   *[no] While training, it is not settled that the inputs of the layers drift less with either norm:
} { $drift_before } and { $drift_after } standard deviations in four steps, without a norm { $drift_none }. { $cause ->
    [other] But drift is not why training gains: with more drift put back behind the norm than there is without one, the mean accuracy over training was { $areanoise_before } % and { $areanoise_after } %, still above the { $area_none } % without a norm.
    [drift] And the gain goes when drift is put back: { $areanoise_before } % and { $areanoise_after } % mean accuracy over training instead of { $area_before } % and { $area_after } %, and { $area_none } % without a norm.
   *[open] Whether that is why training gains stays open here: with drift put back behind the norm, the mean accuracy over training was { $areanoise_before } % and { $areanoise_after } %, with the norm left alone { $area_before } % and { $area_after } %, without a norm { $area_none } %.
} This stands on { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}.
A5-holds-only-if-some = Right for some changes only. When A and B are rescaled, shifted, or mixed, N moves by { $rescale_before }, { $shift_before } and { $mix_before } standard deviations with the norm before the activation, by { $rescale_after }, { $shift_after } and { $mix_after } with the norm after it, and by { $rescale_none }, { $shift_none } and { $mix_none } without one. The inputs of the layers drift by { $drift_before } and { $drift_after } standard deviations in four training steps, without a norm by { $drift_none }. { A5-back } { $cause ->
    [other] But drift is not why training gains: with drift put back behind the norm the gain stayed.
    [drift] And the gain in training goes when drift is put back behind the norm.
   *[open] Whether that is why training gains stays open here.
} This stands on { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}.
A5-does-not-hold-no-need = Not so here: N is not disturbed without a norm either; it moves by { $rescale_none }, { $shift_none } and { $mix_none } standard deviations when A and B are rescaled, shifted, or mixed ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A5-does-not-hold-disturbed = Not so here: with a norm too, N moves whenever A and B change: by { $rescale_before }, { $shift_before } and { $mix_before } standard deviations with the norm before the activation, by { $rescale_after }, { $shift_after } and { $mix_after } with the norm after it. { A5-back } This stands on { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}.
A5-undecided = { $seeds_count ->
    [one] One seed does not
   *[other] { $seeds } seeds do not
} decide it. When A and B are rescaled, shifted, or mixed, N moves by { $rescale_before }, { $shift_before } and { $mix_before } standard deviations with the norm before the activation, and by { $rescale_none }, { $shift_none } and { $mix_none } without one.
A5-advice = Count on the norm for changes of scale and level below it, and in training only: in evaluation mode a rescaling went straight through (N moved by { $eval_before } and { $eval_after } standard deviations, norm before and after the activation).
A5-effect-moved-rescale = How far N moves when A and B are rescaled, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-effect-moved-shift = How far N moves when A and B are shifted, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-effect-moved-mix = How far N moves when A and B are mixed, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-effect-drift = How much less the inputs of the layers drift than without a norm, { $placement ->
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-effect-area = Mean validation accuracy over training against no norm, { $placement ->
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-effect-area-noise = The same with drift put back behind the norm, { $placement ->
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A5-published-noise = Santurkar and colleagues put random shifts back behind the norm; training did not suffer, and they explain its gain by a smoother loss instead.
A5-moved-title = How far N moves when A and B below it change
A5-moved-caption = A panel is a kind of change; at size 1, A is e times as large, or a standard deviation higher, or turned into B by an eighth of a turn. The movement is in N’s own standard deviations, with the batch’s statistics, in the deeper network.
A5-moved-x = Size of the change
A5-moved-y = Movement of N (standard deviations)
A5-drift-title = Drift of each layer’s inputs while the network trains
A5-drift-caption = Mean over training of how far the inputs of a layer move in four steps, measured on the same samples, with eight hidden layers. “Put back” are random shifts and factors behind every norm.
A5-drift-x = Layer
A5-drift-y = Drift (standard deviations)
A5-course-title = Validation accuracy over training, with drift left alone and put back
A5-course-caption = Mean over seeds with its interval, eight hidden layers.
A5-course-x = Training steps
A5-course-y = Validation accuracy
A5-group-rescale = rescaled
A5-group-shift = shifted
A5-group-mix = mixed
A5-group-before-activation-noise = before the activation, drift put back
A5-group-after-activation-noise = after the activation, drift put back
