"""Rules: what is known to go wrong, or right, with norms in a place. A graph in, findings out."""
