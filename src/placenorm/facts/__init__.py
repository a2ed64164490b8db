"""Torch-free values that the stages hand to each other, and their JSON form."""
