"""A plan of trials in, results and a verdict out."""
