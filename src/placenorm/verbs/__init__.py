"""One file a public verb: puts the parts together."""
