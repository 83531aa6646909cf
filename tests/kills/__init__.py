"""What is killed goes on: `frumious mirror` under `kill -9`, in a folder and in a bucket.

    python -m tests.kills --kills 200 --seed 7      (make kills KILLS=200 SEED=7)

A trial is many rounds. The fake upstream changes (`supply`), then the command is started
(`command`) and killed at a random moment, several times in a row, with more changes in between;
each time the mirror is looked at as its readers have it at that moment (`look`). Then it is left to
run to its end: exit status 0, what upstream says and nothing else, in a place (`places`) without
litter. `trial` holds it together.

From the seed follow the changes, the number of kills in each round, and at which share of a run's
length each of them strikes; what the process has done by then does not.
"""
