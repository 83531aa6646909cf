"""Entry point of a function's process, in the function's own interpreter.

Starts AWS's runtime client. Ends the process when its standard input closes, which happens however
the local stack ends. Imports nothing else of the local stack.
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
