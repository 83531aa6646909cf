"""Makes a cold start shorter; each function imports it before all others.

What is imported and read until `Environment` is open stays as long as the process. To look for
garbage in it again and again takes an eighth of the time.
"""

import gc

gc.disable()

import frumious.certificates  # noqa: E402, F401
