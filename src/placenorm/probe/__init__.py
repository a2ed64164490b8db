"""Hooks on a running model that give readings."""
