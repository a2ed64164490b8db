"""Folded networks in files that load without placenorm."""
