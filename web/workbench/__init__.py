"""The guide workbench."""
