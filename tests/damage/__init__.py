"""`frumious verify` finds and repairs what is damaged at random, on every storage.

    python -m tests.damage --mirrors 500 --seed 7      (make damage MIRRORS=500 SEED=7)

A trial is one mirror of a small random upstream, in a folder, a bucket or a container. It is
mirrored twice, with changes in between, and then damaged (`damages`): objects are deleted,
truncated, flipped, renamed, replaced by older ones; others are added. An audit that reads all bytes
has to find each damage. A repair has to bring back what upstream still has, and a second audit has
to be clean. What the mirror stores is compared with what it stored before (`trial`).
"""
