"""The first thing that runs in a function's process, under the function's own interpreter.

Ends the process when its standard input closes, that is when the local stack is gone in whatever
way, and hands over to AWS's runtime client. Imports nothing else of the local stack.
"""

import os
import sys
import threading

from awslambdaric.__main__ import main


def end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


threading.Thread(target=end_with_parent, daemon=True).start()
main(sys.argv)
