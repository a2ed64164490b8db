# The page of advice, and its sentences in the terminal.
advice-title = where the norm should go
advice-headline-none = No weight op was seen, so there is nothing to advise
advice-headline-shallow = The article expects hardly any gain from norms here, and there is none
advice-headline-shallow-norms = The article expects hardly any gain from norms here: { $norms } could go
advice-headline-there = The norms are where the article would have them
advice-headline-change = The article would change { $moved } of { $blocks }
advice-network = { $blocks }, { $norms }, { $ops } on the longest path
advice-network-share = { $blocks }, { $norms } ({ $share } % of the bytes of a training step), { $ops } on the longest path
advice-ops = { $ops_count ->
    [one] { $ops } weight op
   *[other] { $ops } weight ops
}
advice-honest = These are rules and published figures, not measurements of your network.
advice-settle = This would settle it:
advice-settle-label = the command that would settle it
advice-nothing = Every placement gives this network, so there is nothing to compare.

advice-where = Where the norm is, and where the article would have it
advice-rules = By the article's rules: { $rules }.
advice-rule-A8 = A8: a norm in networks deeper than 5 or 6 layers; shallower ones hardly gain
advice-rule-A9 = A9: the norm after the activation
advice-rule-A10 = A10: the norm after the pool
advice-groups-label = the advice in groups
advice-head-blocks = Blocks
advice-head-now = Norm now
advice-head-advised = Advised
advice-head-by = By
advice-head-work = Norm work
advice-head-which = Which, and why not
advice-same = same
advice-pool = { $factor }x less than in front of the pool
advice-pools = { $least }x to { $most }x less than in front of the pool
advice-place-none = none
advice-place-before-activation = before-activation
advice-place-after-activation = after-activation
advice-place-after-pool = after-pool
advice-place-after-pool-before-activation = after-pool-before-activation

advice-strips = The network
advice-strips-intro = Every box is a block: a weight op and the chain it feeds, in the order they run.
advice-strip-now = As it is
advice-strip-then = As the article would have it

advice-costs = What the norms cost
advice-costs-basis = Counted on the example input, without a clock: what the norms alone normalise and move in one training step, and their share of all bytes that the network moves.
advice-costs-label = cost of the norms
advice-cost-placement = placement
advice-cost-norms = norms
advice-cost-values =
    values
    a step
advice-cost-bytes =
    MB in
    training
advice-cost-share =
    % of
    all
advice-cost-parameters =
    gammas,
    betas
advice-cost-change = beside now
advice-now = now
advice-as-it-is = the network as it is
advice-advised = advised: { $change }
cost-work = { $change } work for the norm
cost-work-same = same work for the norm
cost-work-none = no work for a norm
cost-work-new = { $values } values a step to normalise
cost-work-gone = no longer { $values } values a step to normalise
cost-times-less = { $factor }x less
cost-times-more = { $factor }x more
cost-percent-less = { $share } % less
cost-percent-more = { $share } % more
cost-parameters-same = same parameters
cost-parameters-more = { $parameters } parameters more
cost-parameters-less = { $parameters } parameters less

advice-against = What speaks against it
advice-for = What speaks for it
advice-note = What else to know
advice-blocks = Every block
advice-blocks-label = every block
advice-blocks-intro = values: what the norm normalises in one step
advice-head-block = Block
advice-head-channels = Channels
advice-head-values-now = Values now
advice-head-values-then = Values then
advice-head-why = Why not
advice-unseen = What tracing could not see
advice-unseen-more = and { $parts } more that tracing could not see
