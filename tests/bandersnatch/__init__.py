"""Frumious against bandersnatch 8, the mirror that it takes over from.

One mirror.conf, run by both as the programs that they are. Bandersnatch has an environment of its
own: `make bandersnatch` makes it and runs this.
"""
