"""The REST API, one noun a file."""
