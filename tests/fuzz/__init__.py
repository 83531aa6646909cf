"""Coverage-guided fuzzing of every parser, and of every persisted value that is read back.

`make fuzz` runs each target with Atheris, in an environment of its own. A target takes any bytes,
and expects either a value or the errors that the code documents. Everything else is a finding:
another exception, a violated property, a hang, too much memory. Its input is written to
`corpus/<target>/`, where it stays as a regression test: `test_corpus.py` replays the corpus in
`make test`, without Atheris.
"""
