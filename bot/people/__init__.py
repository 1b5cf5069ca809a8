"""Guides and their customers, kept in step with WeCom: by its callbacks, and by asking."""
