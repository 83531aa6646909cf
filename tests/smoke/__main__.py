"""Deploy a stack, check it, and delete it; exit with status 1 if a check failed."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from contextlib import ExitStack

import boto3

from .account import Account
from .checks import SmokeError, check_mirror

PROJECT = "sampleproject"  # the one that mirror.conf selects


def main() -> int:
    parser = argparse.ArgumentParser(prog="make smoke", description=__doc__)
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"))
    parser.add_argument("--minutes", type=float, default=20, help="for each check")
    parser.add_argument("--keep", action="store_true", help="do not delete the stack")
    options = parser.parse_args()
    session = boto3.Session(region_name=options.region)
    if session.get_credentials() is None or session.region_name is None:
        sys.exit(
            "make smoke needs an AWS account, which this environment does not name: configure"
            " credentials and a region (AWS_PROFILE, AWS_REGION) and try again."
        )
    # An exception, so that the stack is deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    account = Account(session.region_name)
    stack = f"frumious-smoke-{secrets.token_hex(4)}"
    try:
        with ExitStack() as cleanup:
            if options.keep:
                print(f"The stack {stack} and its buckets stay.")
            else:
                cleanup.callback(account.delete, stack)
            print(f"Deploying {stack} to {session.region_name} ...", flush=True)
            mirror = account.deploy(stack)
            check_mirror(mirror, PROJECT, seconds=60 * options.minutes)
            print(f"Deleting {stack} ...", flush=True)
    except SmokeError as error:
        print(f"smoke failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
