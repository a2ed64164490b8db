"""Norm layers that are drop-in for torch's."""
