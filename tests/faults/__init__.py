"""Randomised fault injection: jobs by the thousand, while everything around them goes wrong.

    python -m tests.faults --jobs 2000 --seed 7      (make faults JOBS=2000 SEED=7)

The real worker runs in processes of its own (`worker`) between the fake upstream, which changes
all the while (`changes`) and errs (`upstream_faults`), and moto, behind a proxy for each process
that refuses, resets, delays and swallows (`storage_proxy`). Processes are killed at counted
requests (`kills`). A reader polls moto itself all the while (`reader`); at the end faults cease,
each project gets one more job, and the bucket must be what upstream says (`verdict`). `trial`
holds it together.

From the seed follow: the changes, the jobs and their order, the batches, each request's fault (it
hangs on the round, on what is asked for and on how often it was asked for in that round, and not
on what else goes on) and where kills strike (at the nth request of one project's job). Not from
the seed: what other jobs of a batch have done when their process is killed, how the answers of
two requests that one job has under way at the same time interleave, what exceeds a timeout on a
slow machine, and what the reader happens to look at. From the first such difference on, later
rounds may differ a little too.
"""
