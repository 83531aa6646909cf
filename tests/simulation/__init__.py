"""The whole protocol in one thread: real code over simulated time, network, queue and storage.

    python -m tests.simulation --histories 1000 --seed 7    (make simulation HISTORIES=1000 SEED=7)

A history is a list of steps, and a step a list of small numbers (`choices`): zero is what happens
when all is well. From them follow what changes upstream, which functions run and when, which of
their requests fail, and before or after which one they are killed. So the same numbers always give
the same history, and a history that fails is made small by leaving out steps and numbers
(`shrinking`).

The planner, the workers, the finalizer and the command (`mirror`, `sync`, `delete`, `verify`) are
the shipped code (`functions` calls what functions/*/app.py calls). What they meet is simulated: a
`process` that can be killed at each request, `storage`, `network` with the fake upstream of all
tests behind it, and `queue`, on the time of `loop`. `stack` has the processes, `operator` the
commands of snapshots, `steps` what can happen: faults, lies of upstream's, restored backups,
damaged state and files, and changes of the configuration. `witness` checks each change of the
storage when it happens, and what `verify` leaves; `verdict` the mirror after a phase without
faults. In that phase, `world` also does what an operator does who reads the mirror's `reports` and
errors.
"""
