"""Two phones in a browser: what members and guides would hold in their hands."""
