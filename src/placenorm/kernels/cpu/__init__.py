"""Kernels for the processor, in float32, compiled by numba on first use and kept on disk."""
