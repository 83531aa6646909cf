"""Fuzz one target with Atheris: `python -m tests.fuzz.process TARGET [option of libFuzzer]...`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["frumious", "packaging", "json", "html", "xmlrpc", "email", "configparser"],
    enable_loader_override=False,
):
    from tests.fuzz.targets import TARGETS

from tests.fuzz import mutation

if __name__ == "__main__":
    program, target, *options = sys.argv
    atheris.Setup([program, *options], TARGETS[target], custom_mutator=mutation.mutate)
    atheris.Fuzz()
