"""Which projects, releases and files are wanted."""
