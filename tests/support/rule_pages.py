"""What the page of every rule has."""

SECTIONS = (
    "What it does",
    "Why it matters",
    "When to ignore it",
    "Example",
    "Use instead",
    "Fix safety",
    "Evidence",
)
"""Its headings, in order."""
