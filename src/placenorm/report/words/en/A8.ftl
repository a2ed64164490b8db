A8-title = From which depth on a norm pays
A8-article = Shallow networks hardly gain from batch normalisation; use it in networks deeper than 5 to 6 layers.
A8-question = How much accuracy does a norm bring at which depth; is there a threshold, and is it at 5 to 6 layers? Is it the same in residual networks?
A8-design = Networks of linear layers with ReLU, from 2 to 21 layers, are trained for 12 epochs without a norm, with one before every activation and with one after it, at several learning rates; and residual networks, in which every hidden layer but the first adds its input to a share of its branch’s output; the shares add up to 1. Layers are weight ops on the longest path: the hidden layers and the logits. Without norms, too, weights start so that the signal keeps its size. Every training has the same 12 epochs, so part of a gain in accuracy may be speed.
A8-measure = The gain: test accuracy when training is over with a norm (mean of before and after the activation) minus that without, each at the learning rate with the lowest validation loss of its seed, paired by seed. Shallow is the mean over depths of at most 5 layers, deep that of more than 6, in plain and in residual networks. Beside it the gain in mean accuracy over the training.
A8-rule = Three intervals share an error of 5 %: shallow, deep, and deep residual. A network gains if the interval is above 0 and the mean above one point; it hardly gains if the interval ends at or below one point; otherwise it is open. Shallow hardly and deep gains: the claim holds, but only without residual connections if deep residual networks hardly gain. Shallow gains, or deep hardly gains: it does not hold. Otherwise it is undecided. Where the threshold lies is told beside it.
A8-seeds = { $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}
A8-where = { $from_layers_count ->
    [0] The mean gain at the deepest network, of { $until_layers } layers, is not above a point.
   *[other] { $until_layers_count ->
        [0] The mean gain is above a point at every depth that was tried, from { $from_layers } layers on.
       *[other] The mean gain passes a point between { $until_layers } and { $from_layers } layers.
    }
}
A8-gains = shallow { $shallow_gain } points, deep { $deep_gain }, deep residual { $residual_gain }
A8-speed = Over the training as a whole (mean accuracy of the epochs) the gain is { $shallow_area } points in shallow networks, { $deep_area } in deep ones and { $residual_area } in deep residual ones. Of { $choices } best learning rates, { $at_edge } were the lowest or the highest that was tried.
A8-holds = Right: up to 5 layers a norm hardly changes the accuracy, and in deeper networks it raises it ({ A8-gains }; { A8-seeds }). For residual networks it is not settled. { A8-where } { A8-speed }
A8-holds-residual = Right, and for residual networks too: up to 5 layers a norm hardly changes the accuracy, and in deeper networks it raises it ({ A8-gains }; { A8-seeds }). { A8-where } { A8-speed }
A8-holds-only-if-plain = Right without residual connections: up to 5 layers a norm hardly changes the accuracy, and in deeper networks it raises it. Deep residual networks hardly gain either ({ A8-gains }; { A8-seeds }). { A8-where } { A8-speed }
A8-does-not-hold-everywhere = Half right: shallow networks gain as well, so that there is no threshold at 5 to 6 layers ({ A8-gains }; { A8-seeds }). { A8-where } { A8-speed }
A8-does-not-hold-nowhere = Not so here: deep networks hardly gain either, once each has its own best learning rate ({ A8-gains }; { A8-seeds }). { A8-where } { A8-speed }
A8-undecided = Not decided with { A8-seeds }: the gain in accuracy is { A8-gains }, and its intervals do not settle it. { A8-where } { A8-speed }
A8-advice = Do not count layers only: compare with and without a norm on your own data, each at its own learning rate, and look at accuracy and at speed.
A8-effect-accuracy = Gain in test accuracy, { $part ->
    [shallow] at most 5 layers
    [deep] more than 6 layers
   *[residual] more than 6 layers, residual
}
A8-effect-area = Gain in mean accuracy over the training, { $part ->
    [shallow] at most 5 layers
    [deep] more than 6 layers
   *[residual] more than 6 layers, residual
}
A8-published-residual = In residual networks on CIFAR-10, norm before or after the addition made no difference that could be told from noise with 20 layers (error 8.3 % both); with 110 layers norm after the addition doubled the error (13.6 % against 7.0 %). Both have norms: a threshold for norm against none was not found published anywhere.
A8-published-imagenet = On ImageNet at 128 pixels CaffeNet gained from a norm (47.8 % before and 49.3 % after the activation, 47.1 % without), while the deeper GoogLeNet lost (60.3 % and 59.6 %, 61.9 % without).
A8-parts-title = What a norm brings in shallow, deep and deep residual networks
A8-parts-caption = With a norm (mean of before and after the activation) minus without, each at its own best learning rate, paired by seed; the three intervals of accuracy share an error of 5 %.
A8-parts-x = Gain, points
A8-parts-y = Networks
A8-gain-title = Gain in test accuracy, by depth
A8-gain-caption = With a norm minus without, each at its own best learning rate, paired by seed, with 95 % intervals of each placement and depth alone.
A8-gain-x = Layers
A8-gain-y = Gain, points
A8-accuracy-title = Test accuracy, by depth
A8-accuracy-caption = Each arm at its own best learning rate, mean over seeds.
A8-accuracy-x = Layers
A8-accuracy-y = Test accuracy
A8-group-shallow = at most 5 layers
A8-group-deep = more than 6 layers
A8-group-accuracy = test accuracy at the end
A8-group-area = mean accuracy over the training
A8-group-plain = plain
A8-group-residual = residual
