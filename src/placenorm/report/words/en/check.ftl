# The page of a check, and its sentences in the terminal.
check-title = what is wrong with its norms
check-tagline = What is wrong with the norms?
check-headline = The rules found { $counts }.
check-headline-clean = The rules found nothing.
check-rules = { $rules_count ->
    [one] { $rules } rule
   *[other] { $rules } rules
}
check-batches = batches of data: { $batches }
check-found = { $counts }.
check-nothing = Nothing found
check-silenced = { $silenced_count ->
    [one] { $counts } ({ $silenced } finding silenced by comments).
   *[other] { $counts } ({ $silenced } findings silenced by comments).
}
check-silenced-lead = { $silenced_count ->
    [one] { $silenced } finding is silenced by a comment.
   *[other] { $silenced } findings are silenced by comments.
}
check-network = The network, and where something was found
check-network-intro = Every box is a block: a weight op and the chain it feeds, in the order they run. A box with a word above it has a finding.
check-block-error = error
check-block-warning = warning
check-block-info = note
check-strip-now = As it is
check-strip-mended = With the safe fixes
check-blocks = { $blocks }, { $ill } with a finding
check-findings = What was found, and how to mend it
check-mend = Put the safe fixes in
check-mend-intro = In evaluation the network then computes the same. `batches` stands for some batches of your data.
check-mend-label = the Python that puts the safe fixes in
check-unseen = What was not looked at
check-fixes-none = There is no safe fix to write; nothing was written.
check-fixes = Written: { $file }. In your code: { $code }; or `placenorm place` with --to, --preserve and --out.
