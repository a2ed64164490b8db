"""A model and edits in, a new model out."""
