"""Models by name: the built-in networks and the user's own."""

from placenorm.zoo.checkpoint import load_weights
from placenorm.zoo.names import find_example, find_model

__all__ = ["find_example", "find_model", "load_weights"]
