# The page of outliers, and their table in the terminal.
outliers-title = which samples are outliers
outliers-tagline = Which samples are outliers?
outliers-samples = { $samples } samples
outliers-sites = { $sites } sites
outliers-headline-own = { $samples_count ->
    [one] { $samples } sample, by how far they are from the others
   *[other] { $samples } samples, by how far they are from the others
}
outliers-headline = { $samples_count ->
    [one] { $beyond } of { $samples } sample are further out than every clean one
   *[other] { $beyond } of { $samples } samples are further out than every clean one
}
outliers-limit = With { $clean } clean samples nothing rarer than 1 in { $rarest } can be told; samples at that limit stand in the order of their distances. As many of { $samples } good samples would be there by chance: { $expected }.
outliers-limit-own = With { $clean } samples nothing rarer than 1 in { $rarest } can be told; samples at that limit stand in the order of their distances.
outliers-reach = { $values_count ->
    [one] { $site }: among { $values } value no |z| exceeds sqrt(n - 1) = { $reach }, so that { $threshold } is out of reach there (it needs 26); distances are measured by the other samples and have no such bound.
   *[other] { $site }: among { $values } values no |z| exceeds sqrt(n - 1) = { $reach }, so that { $threshold } is out of reach there (it needs 26); distances are measured by the other samples and have no such bound.
}
outliers-in-english = The other sentences are in English.
outliers-far = How far they are
outliers-far-title = Every sample, the furthest first
outliers-far-caption = A mark is a sample at its furthest site. At 0 half of the clean samples are as far there, at 1 a tenth of them; the scale is that of the logarithm of the distance.
outliers-far-limit = Triangles are further out than every clean sample; the furthest clean one lies between them and the others, at the dashed line.
outliers-far-drawn = Of { $samples } samples { $drawn } are drawn.
outliers-far-alt = Sample { $sample } is the furthest: { $excess } at { $site }. Half of the samples are below { $median }.
outliers-far-rank = place in the order, the furthest first
outliers-far-excess = how far (0 and 1: see below)
outliers-far-clean = furthest clean sample
outliers-pictures = The most surprising ones
outliers-pictures-intro = Each from its smallest value (black) to its largest (white).
outliers-picture = sample { $sample }
outliers-picture-place = { $distance } at { $site }, surprise { $surprise }; values { $low } to { $high }
outliers-picture-not-finite = { $distance } at { $site }, surprise { $surprise }; no finite value
outliers-which = Which, where, how far, and how surprising
outliers-which-label = the most surprising samples
outliers-usual = What is usual
outliers-usual-intro = The clean samples at every site: so far are half of them, 90 %, 99 %, and the furthest.
outliers-usual-label = the clean samples at every site
outliers-usual-terminal = What is usual: the clean samples at every site
outliers-more = and { $samples } more that are less surprising
outliers-basis = Distance: from the mean of the clean samples, in their standard deviations; at the input that of the furthest value, at a norm and at input:channels the root mean square over the channels' means and spreads, made uncorrelated. Surprise: share of clean samples that are as far at their own furthest site, the sample counted in. Clean as far: share of clean samples that are at least as far at this site. z: value minus mean, over standard deviation, before gamma and beta.
outliers-not-finite = not finite
outliers-no-bound = no bound
outliers-percent = { $share } %
outliers-head-sample = sample
outliers-head-surprise = surprise
outliers-head-site = site
outliers-head-distance = distance
outliers-head-as-far = clean as far
outliers-head-peak = largest |z|
outliers-head-layer = layer
outliers-head-median = distance 50 %
outliers-head-high = 90 %
outliers-head-top = 99 %
outliers-head-largest = largest
outliers-head-peaks = |z| 99 %
outliers-head-beyond = clean with |z| of 5
outliers-head-reach = |z| at most
