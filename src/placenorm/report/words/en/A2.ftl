A2-title = Gamma and beta let the network leave the normal form
A2-article = The normalised values are multiplied by gamma, which sets the variance, and beta, which sets the mean, is added. Both are learned by back-propagation, so that the network can leave the normal form where it must.
A2-question = Can gamma and beta give a neuron any mean and variance, even those it had before the norm; is it the variance that gamma sets; and does back-propagation learn them?
A2-design = Outputs of 100 neurons for 128 training samples go through torch’s norm, which is to reach two targets: the outputs as they were before it, and others with means from −5 to 5 and variances from 0.1 to 10. Gamma is the target’s variance, or its standard deviation, or both parameters start at 1 and 0 and are learned in 40 steps. Beside it a network of 8 hidden layers is trained on the data themselves.
A2-measure = The largest distance of any neuron’s variance, mean and outputs from the target; and how far gammas are from 1 and betas from 0 in the trained network (root mean square).
A2-rule = A way arrives if variance, mean and outputs are within a thousandth of both targets under every seed. Learning must arrive, and gammas and betas of the trained network must have moved by 0.01 or more. If gamma as the variance then arrives, the claim holds; if only gamma as the standard deviation does, it holds only if gamma is that.
A2-holds = Right: back-propagation learns gamma and beta, any mean and variance can be reached, and gamma is the variance ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A2-holds-only-if-standard-deviation = Right, with one correction: back-propagation undoes the norm in { $steps } steps, and training moves gammas by { $gamma_moved } and betas by { $beta_moved } on the average – but gamma sets the standard deviation, and the variance becomes gamma squared. Where a variance of { $wanted } was wanted, gamma = { $wanted } gave { $got } ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A2-does-not-hold = Not so here: back-propagation did not bring gamma and beta to where they were needed, or neither reading of gamma reaches its target ({ $seeds_count ->
    [one] one seed
   *[other] { $seeds } seeds
}).
A2-undecided = { $seeds_count ->
    [one] One seed is
   *[other] { $seeds } seeds are
} too few to decide; give at least three.
A2-advice = Leave gamma and beta on and learned; whoever sets gamma by hand gives it the standard deviation that is wanted.
A2-effect-variance-error = Largest distance of a variance from the wanted one, { $gamma ->
    [variance] gamma is the variance
    [standard-deviation] gamma is the standard deviation
   *[learned] gamma is learned
}
A2-effect-undone = Largest distance from the outputs before the norm, in standard deviations, { $gamma ->
    [variance] gamma is the variance
    [standard-deviation] gamma is the standard deviation
   *[learned] gamma is learned
}
A2-effect-moved = { $parameter ->
    [gamma] Distance of gammas from 1
   *[beta] Distance of betas from 0
} in the trained network, root mean square
A2-published-recover = Ioffe and Szegedy note that gamma = √variance and beta = mean give the original activations back.
A2-variance-title = The variance that came out against the one that was wanted
A2-variance-caption = One mark per neuron, drawn targets, first seed, both axes logarithmic. Where gamma is right, both are equal.
A2-variance-x = Variance wanted
A2-variance-y = Variance reached
A2-learning-title = Gamma and beta are learned by gradient descent
A2-learning-caption = Largest distance of any output from its target, in the target’s standard deviations, worst of all seeds; the axis is logarithmic.
A2-learning-x = Step
A2-learning-y = Largest distance from the target
A2-trained-title = Gamma and beta after training, by depth
A2-trained-caption = Mean over each norm’s neurons in a network of 8 hidden layers, with the interval over seeds. They started at 1 and 0.
A2-trained-x = Norm, from the input
A2-trained-y = Mean
A2-group-variance = gamma is the variance
A2-group-standard-deviation = gamma is the standard deviation
A2-group-learned = gamma and beta learned
A2-group-own = back to the outputs before the norm
A2-group-drawn = to other means and variances
A2-group-gamma = gamma
A2-group-beta = beta
