"""What the mirror talks about: values only. Nothing here reads, writes, parses or renders."""
