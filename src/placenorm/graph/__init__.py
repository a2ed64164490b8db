"""A model as blocks and sites, and named placements as edits: describes, changes nothing."""
