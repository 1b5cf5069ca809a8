"""Tests against known answers, other people's code, and real processes."""
