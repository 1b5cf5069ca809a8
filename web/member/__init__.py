"""The member pages."""
