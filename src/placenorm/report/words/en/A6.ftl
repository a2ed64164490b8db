A6-title = Units that never switch on
A6-article = If A and B are negative at the start, before their ReLU, N has to wait until they wake. With batch normalisation every unit is on for about half of the batch: training never stalls, and no unit can be dead.
A6-question = When the units below N start negative, do they wake, and how soon? Does batch normalisation leave no dead unit, and each unit on for about half of the batch, before the activation and after it?
A6-design = The article’s own scene: in a network of three hidden layers the biases of half or of all units of the second one are lowered until they give only negative values, and it is trained from there. Beside it, networks of 2, 8 and 20 hidden layers are trained at a usual learning rate, 0.03, and at a large one, 0.3; the long run has more depths and rates, for the pictures only. Each without a norm, with the norm before the activation, and with the norm after it, from the same weights.
A6-measure = The share of the sleepers that no sample wakes when training is over, in the worse of the two scenes for each placement; the share of units that are off for all samples of a large batch in training mode, in the worst network of each seed that did not diverge, at both learning rates and at the small one alone; and the share of values that are on.
A6-rule = A norm keeps the guarantee if at most 1 % of the sleepers and of the units are dead, with the whole interval; in small steps if it does so at the small learning rate; it breaks it if more are. If both norms keep it and 40 to 60 % of the values are on, the claim holds. If only one keeps it, or only in small steps, it holds only if the norm stands there, or the steps are small. If both break it, or there are no dead units without a norm either, it does not hold.
A6-wake = half of a layer that sleeps whole is awake { $wake_before ->
    [never] never
    [at-once] at once
   *[other] after { $wake_before } steps
}, without a norm { $wake_none ->
    [never] never
    [at-once] at once as well
   *[other] after { $wake_none } steps
}
A6-holds = Right: with a norm no sleeper is left ({ $asleep_before } % before and { $asleep_after } % after the activation, { $asleep_none } % without a norm), no unit dies ({ $dead_before } % and { $dead_after } %, { $dead_none } % without), and { $active_before } % of the values are on ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-share = Right but for the half: with a norm no sleeper is left ({ $asleep_before } % before and { $asleep_after } % after the activation, { $asleep_none } % without a norm) and no unit dies ({ $dead_before } % and { $dead_after } %, { $dead_none } % without), but { $active_before } % of the values are on ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-small-steps = Right if the steps are not large: no sleeper is left with a norm ({ $asleep_before } % before and { $asleep_after } % after the activation, { $asleep_none } % without), and no unit dies ({ $calm_before } % and { $calm_after } %, { $calm_none } % without). At the large learning rate { $dead_before } % and { $dead_after } % of the worst network are dead, without a norm { $dead_none } % ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-before = Right if the norm stands before the activation: then { A6-wake }, no unit dies ({ $dead_before } % in the worst network, { $dead_none } % without a norm), and { $active_before } % of the values are on. After the activation the guarantee is gone: { $asleep_after } % of the sleepers are still asleep when training is over ({ $asleep_none } % without a norm), and { $dead_after } % of the units are dead in the worst network, mean over seeds ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-before-small-steps = Right if the norm stands before the activation and the steps are not large. Then { A6-wake }; no unit dies at the small learning rate ({ $calm_before } %, without a norm { $calm_none } % in the worst network), and { $active_before } % of the values are on. At the large learning rate { $dead_before } % of the units of the worst network are dead all the same, against { $dead_none } % without a norm. After the activation there is no guarantee: { $asleep_after } % of the sleepers are still asleep when training is over ({ $asleep_none } % without a norm); { $dead_after } % of the units of the worst network are dead ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-after = Right if the norm stands after the activation: then { $asleep_after } % of the sleepers are still asleep when training is over and { $dead_after } % of the units are dead, before the activation { $asleep_before } % and { $dead_before } %, without a norm { $asleep_none } % and { $dead_none } % ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-holds-only-if-after-small-steps = Right if the norm stands after the activation and the steps are not large: then { $asleep_after } % of the sleepers are still asleep when training is over and { $calm_after } % of the units are dead ({ $dead_after } % at the large learning rate), before the activation { $asleep_before } % and { $calm_before } %, without a norm { $asleep_none } % and { $calm_none } % ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-does-not-hold-no-need = Not so here: without a norm too, no sleeper is left ({ $asleep_none } %) and no unit is dead ({ $dead_none } %) when training is over ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-does-not-hold-dead = Not so here: with a norm too, units stay asleep or die: { $asleep_before } % of the sleepers and { $calm_before } % of the units with the norm before the activation, { $asleep_after } % and { $calm_after } % with the norm after it, { $asleep_none } % and { $calm_none } % without ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A6-undecided = { $seeds_count ->
    [one] One seed does not
   *[other] { $seeds } seeds do not
} decide it. When training is over { $asleep_before } % of the sleepers are still asleep with the norm before the activation, { $asleep_after } % with the norm after it and { $asleep_none } % without; { $dead_before } %, { $dead_after } % and { $dead_none } % of the units are dead.
A6-advice = { $place ->
    [before] Where units may start or fall asleep, put the norm before the activation; after it they may stay asleep.
    [after] Where units may start or fall asleep, put the norm after the activation; before it they may stay asleep.
   *[other] Do not choose the norm’s place by the sleepers alone.
} Watch for dead units in evaluation mode too: in the worst network there were { $deadeval_before } % with the norm before the activation and { $deadeval_after } % with the norm after it.
A6-effect-asleep = Sleepers that never woke, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A6-effect-dead-calm = Dead units in the worst network at the small learning rate, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A6-effect-dead = Dead units in the worst network at both learning rates, { $placement ->
    [none] no norm
    [before-activation] norm before the activation
   *[after-activation] norm after the activation
}
A6-effect-active = Values that are on, norm before the activation
A6-effect-price = Dead units with the norm after the activation, less those with the norm before it
A6-published-check = An earlier check of our own, eight layers on digits: 87 % of the units dead without a norm, 0 % with the norm before and 3 % with it after the activation at learning rate 0.2; 93, 14 and 45 % at 1.
A6-published-before = Ioffe and Szegedy put the norm before the activation, since what a layer computes there is more likely to be symmetric and not sparse.
A6-wake-title = Units that start negative, and when they wake
A6-wake-caption = Share of the sleepers that some sample switches on, mean over seeds; the panels are half of a layer asleep and the whole layer.
A6-wake-x = Training steps
A6-wake-y = Awake
A6-dead-title = Dead units over depth at the largest learning rate
A6-dead-caption = Share of units that no sample of a large batch switches on, with its interval over seeds; networks that diverged are left out.
A6-dead-x = Hidden layers
A6-dead-y = Dead units
A6-active-title = Values that are on, over depth, at the largest learning rate
A6-active-caption = Share of the values behind a ReLU that are not zero, in training mode, with its interval over seeds.
A6-active-x = Hidden layers
A6-active-y = Values that are on
A6-group-half = half of the layer asleep
A6-group-all = the whole layer asleep
A6-group-training = in training mode
A6-group-evaluation = in evaluation mode
