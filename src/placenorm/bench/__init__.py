"""Cases in, timings out."""
