"""The engine: audiences, campaigns, assignment, deadlines, fallback, attribution."""
