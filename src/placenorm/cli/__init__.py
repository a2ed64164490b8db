"""Arguments in, verbs called; no logic."""
