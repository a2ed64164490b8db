A4-title = Faster convergence
A4-article = With batch normalisation, training converges faster.
A4-question = Does training reach a high accuracy sooner with a norm than without, at every depth, when each has its own best learning rate; and at how many learning rates does training work at all?
A4-design = Plain networks of linear layers with ReLU, shallow to deep, are trained for 12 epochs by SGD with momentum at several learning rates, half a decade apart: without a norm, with one before every activation, and with one after it. Under one seed all arms see the same data in the same order and start from the same weights. At 9 layers more rates are tried, the same for every arm. Layers are weight ops: the hidden layers and the logits.
A4-measure = The area: the mean over the epochs of the validation accuracy after each, at the learning rate where the other seeds of the same arm and depth have their largest, so that no seed reports the number it was chosen by. The gain is the area with a norm (mean of before and after the activation) minus that without, paired by seed. A rate is usable if training ends at or above the target, which is 95 % of the highest accuracy that any arm ends at.
A4-rule = One interval for each depth and one for the number of usable rates share an error of 5 %. Training is faster at a depth if the gain’s interval is above 0 and its mean above one point; slower the other way round; the same if the interval lies within a point of 0; open otherwise. Faster at every depth: the claim holds. Faster from some depth on down to the deepest: it holds only there. Faster at other depths: only at some. Nowhere faster and nowhere open: it does not hold. Otherwise it is undecided. Usable rates, steps and seconds are told beside it.
A4-speed = { $steps_without_count ->
    [0] At { $middle_layers } layers most trainings without a norm never reached { $target } %
   *[other] At { $middle_layers } layers training without a norm reached { $target } % after { $steps_without } steps
}, { $steps_with_count ->
    [0] and neither did most with one
   *[other] and with one after { $steps_with }
}; a step with norms took { $time_ratio } times as long on this machine. Of { $rates } learning rates from { $least_rate } to { $most_rate }, { $usable_with } were usable with a norm and { $usable_without } without.
A4-seeds = { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}
A4-holds = Right: training is faster with a norm at every depth from { $least_layers } to { $most_layers } layers, by { $least_gain } points of mean accuracy at the shallowest and { $most_gain } at the deepest ({ A4-seeds }). { A4-speed }
A4-holds-only-if-deep = Right for networks of { $first_layers } layers and more, where a norm gains up to { $most_gain } points of mean accuracy over the training ({ $most_layers } layers); in shallower ones no gain of more than a point could be shown ({ $least_layers } layers: { $least_gain } points; { A4-seeds }). { A4-speed }
A4-holds-only-if-some = Right at { $faster_depths } of { $depths } depths, though not at all from one depth on; at { $open_depths } the interval is too wide to say. The gain in mean accuracy is { $least_gain } points at { $least_layers } layers and { $most_gain } at { $most_layers } ({ A4-seeds }). { A4-speed }
A4-does-not-hold = Not so here: at no depth from { $least_layers } to { $most_layers } layers is training faster by more than a point of mean accuracy, once each has its own best learning rate ({ A4-seeds }). { A4-speed }
A4-undecided = Not decided with { A4-seeds }: the gain in mean accuracy is { $least_gain } points at { $least_layers } layers and { $most_gain } at { $most_layers }, and its intervals do not settle it. { A4-speed }
A4-advice = Try several learning rates with and without the norm before you compare, and count seconds as well as steps: a step with norms takes longer.
A4-effect-gain = Gain in mean accuracy over the training, { $layers } layers
A4-effect-reach = Usable learning rates, more with a norm than without
A4-published-inception = Inception on ImageNet reached 72.2 % after 31.0 million steps without batch norm, after 13.3 million with it, and after 2.1 million with it and a learning rate five times as large.
A4-published-nin = A network-in-network on CIFAR-10 ended after 100 epochs at 80.2 % without batch norm, at 85.8 % with it before the activation and at 86.2 % with it after.
A4-gain-title = Gain in mean accuracy over the training, by depth
A4-gain-caption = Mean validation accuracy over the epochs with a norm minus that without, each at its own best learning rate, paired by seed, with 95 % intervals of each placement alone. Above 0 training with the norm is faster.
A4-gain-x = Layers
A4-gain-y = Gain, points
A4-curves-title = Learning curves at the best learning rates
A4-curves-caption = Validation accuracy after each epoch, mean over seeds; a training that diverged goes on at chance.
A4-curves-x = Step
A4-curves-y = Validation accuracy
A4-reach-title = Accuracy at the end, by learning rate
A4-reach-caption = Validation accuracy after 12 epochs in networks of 9 layers, mean over seeds with 95 % intervals. The axis of rates is logarithmic.
A4-reach-x = Learning rate
A4-reach-y = Validation accuracy
A4-group-2 = 2 layers
A4-group-3 = 3 layers
A4-group-4 = 4 layers
A4-group-5 = 5 layers
A4-group-6 = 6 layers
A4-group-7 = 7 layers
A4-group-9 = 9 layers
A4-group-13 = 13 layers
A4-group-21 = 21 layers
