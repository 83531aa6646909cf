"""Frumious compared with bandersnatch 8, whose mirrors it can take over.

Both programs run with the same mirror.conf. `make bandersnatch` creates bandersnatch's environment
and runs these tests.
"""
