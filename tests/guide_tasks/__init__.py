"""The engine: audiences, launch, progress, deadlines, attribution, results."""
