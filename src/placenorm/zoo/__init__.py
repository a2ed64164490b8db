"""Models by name: the built-in networks and the user's own."""
