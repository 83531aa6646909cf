"""The soak: runs by the hundred, while everything around them goes wrong, and at the same time.

    python -m tests.soak --seed 7 --minutes 20 --runs 200      (make soak SEED=7)

The real planner, worker and finalizer run in processes of their own (`process`), several of each,
between a fake upstream that changes all the while (`upstream`) and moto's S3, behind a gateway for
each process (`gateway`) that errs, counts writes and kills at one of them. Their clock runs ahead,
so that deadlines, pauses and days pass. The queue is the soak's own (`queue`): it loses, doubles
and repeats messages. Planners and finalizers overlap request by request, and some sleep for
rounds in the middle of what they do: `turns` says who goes next. A witness sees each write and a
reader polls: no serial goes back, and `status` claims nothing that is not there (`witness`). At
the end faults cease, ticks go on until nothing is open and nothing lags, and the mirror must be
what upstream is (`verdict`), and the diff-files must tell how it came to be so (`books`).

From the seed follow: the changes and when they happen, which ticks begin, who goes next, who
sleeps and where, each fault, each kill, what becomes of each message, the batches. Not from the
seed: the names of runs, how a worker's own requests interleave, what exceeds a timeout on a slow
machine, and what the readers happen to look at. From the first such difference on, later rounds
may differ a little too.
"""
