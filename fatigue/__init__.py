"""The gate: rules, caps, quiet hours, grants and the verdict on a touch (design.md §8)."""
