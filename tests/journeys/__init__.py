"""A real browser on every page (needs chromium): what people see when they do the main job."""
