"""What the mirror talks about: values only. Nothing here reads, writes, parses or renders.

What the mirror stores as JSON is a `msgspec.Struct`, whose `rename` keeps the keys of version 0.
"""
