"""Results become the root index, the status and the diff-file."""
