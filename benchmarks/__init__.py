"""Speed, with the commands that measure it."""
