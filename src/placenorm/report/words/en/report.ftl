# Words that every page shares.
placement-none = no norm
placement-before-activation = before the activation
placement-after-activation = after the activation
placement-after-pool = after the pool
placement-after-pool-before-activation = after the pool, before the activation
placement-as-is = as is
outcome-holds = holds
outcome-holds-only-if = holds only if …
outcome-does-not-hold = does not hold
outcome-undecided = undecided

rules-in-english = The sentences of the rules are in English.
finding-count-error = { $number_count ->
    [one] { $number } error
   *[other] { $number } errors
}
finding-count-warning = { $number_count ->
    [one] { $number } warning
   *[other] { $number } warnings
}
finding-count-info = { $number_count ->
    [one] { $number } note
   *[other] { $number } notes
}

page-tagline = Where should batch normalisation go?
page-skip = Skip to the result
page-copy = Copy
page-copied = Copied
page-selected = Selected
page-footer = Written by placenorm { $version }. This page is one file and loads nothing from the network.
page-again-label = the command that repeats this run
page-again = Run it again
