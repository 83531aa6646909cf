"""The soak: hundreds of overlapping runs under faults of every kind.

    python -m tests.soak --seed 7 --minutes 20 --runs 200      (make soak SEED=7)

The real planner, worker and finalizer run in processes of their own (`process`), several of each,
between a fake upstream that keeps changing (`upstream`) and moto's S3. Each process has a gateway
(`gateway`) that injects errors, counts writes and kills the process at one of them. The clock of
the processes runs ahead, so that deadlines, pauses and days pass. The queue is the soak's own
(`queue`): it loses, duplicates and repeats messages. Planners and finalizers overlap request by
request, and some sleep for rounds in the middle of an invocation: `turns` decides which process
continues. A witness checks each write and a reader polls: no serial goes back, and `status` claims
nothing that is missing (`witness`). At the end the faults stop and ticks continue until no run is
open and no project lags. Then the mirror must equal upstream (`verdict`), and the diff-files must
report every change (`diff_files`).

The seed determines the changes and when they happen, which ticks begin, which process continues,
which process sleeps and at which request, each fault, each kill, the fate of each message, and the
batches. It does not determine the names of runs, how a worker's own requests interleave, what
exceeds a timeout on a slow machine, or what the readers happen to read. After the first such
difference, later rounds may differ a little too.
"""
