"""Data sources: names in, datasets out."""
