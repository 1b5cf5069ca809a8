"""The engine: audiences, campaigns, assignment, deadlines, fallback, attribution (design.md §11)."""
