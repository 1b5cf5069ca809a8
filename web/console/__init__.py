"""The HQ console."""
