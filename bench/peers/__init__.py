"""What others would run for the same work, as servers of their own."""
