"""`frumious mirror` continues after `kill -9`, in a folder and in a bucket.

    python -m tests.kills --kills 200 --seed 7      (make kills KILLS=200 SEED=7)

A trial is many rounds. The fake upstream changes (`upstream`), then the command is started
(`command`) and killed at a random moment, several times in a row, with more changes in between.
Each time `inspection` checks the mirror as its readers see it at that moment. Then the command
runs to its end: it must exit with status 0, and the folder or bucket (`targets`) must equal
upstream without leftovers. `trial` runs it all.

The seed determines the changes, the number of kills in each round, and each kill's share of a run's
length. It does not determine what the process has done by then.
"""
