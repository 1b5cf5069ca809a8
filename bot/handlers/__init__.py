"""What the bot does for a consumer: one feature a file."""
