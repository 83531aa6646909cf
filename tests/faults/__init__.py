"""Randomised fault injection: thousands of jobs under faults of every kind.

    python -m tests.faults --jobs 2000 --seed 7      (make faults JOBS=2000 SEED=7)

The real worker runs in processes of its own (`worker`) between the fake upstream, which keeps
changing (`changes`) and fails (`upstream_faults`), and moto. Each process has a proxy in front of
moto that refuses, resets, delays and drops requests (`storage_proxy`). Processes are killed at
counted requests (`kills`). A reader polls moto throughout (`reader`). At the end the faults stop,
each project gets one more job, and the bucket must equal upstream (`verdict`). `trial` runs it all.

The seed determines the changes, the jobs and their order, the batches, each request's fault (by the
round, the path and the number of earlier requests for that path in the round, independently of
other requests) and the kills (at the nth request of one project's job). It does not determine what
other jobs of a batch have done when their process is killed, how the responses to two concurrent
requests of one job interleave, what exceeds a timeout on a slow machine, or what the reader happens
to read. After the first such difference, later rounds may differ a little too.
"""
