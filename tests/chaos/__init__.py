"""Chaos: processes are killed in the middle, and the next run makes good."""
