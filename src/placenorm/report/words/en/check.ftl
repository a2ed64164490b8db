# The page of a check.
check-title = what is wrong with its norms
check-tagline = What is wrong with the norms?
check-norms = { $norms_count ->
    [one] { $norms } norm
   *[other] { $norms } norms
}
check-rules = { $rules_count ->
    [one] { $rules } rule
   *[other] { $rules } rules
}
check-batches = batches of data: { $batches }
check-count-error = { $number_count ->
    [one] { $number } error
   *[other] { $number } errors
}
check-count-warning = { $number_count ->
    [one] { $number } warning
   *[other] { $number } warnings
}
check-count-info = { $number_count ->
    [one] { $number } note
   *[other] { $number } notes
}
check-nothing = Nothing found
check-error = error
check-warning = warning
check-info = note
check-silenced = { $silenced_count ->
    [one] { $silenced } finding is silenced by a comment.
   *[other] { $silenced } findings are silenced by comments.
}
check-network = The network, and where something was found
check-network-intro = Every box is a block: a weight op and the chain it feeds, in the order they run. A box with a word above it has a finding.
check-blocks = { $blocks } blocks, { $ill } with a finding
check-findings = What was found, and how to mend it
check-in-english = The sentences of the rules are in English.
check-unseen = What was not looked at
