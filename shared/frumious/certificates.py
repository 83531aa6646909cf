"""Imports aiohttp without a needless certificate store; to be imported before anything of aiohttp.

aiohttp loads the machine's certificates twice when it is imported (`aiohttp.connector`): for
connections that verify, and for those that do not. The second takes as long as the import itself.
"""

import ssl

_load = ssl.SSLContext.set_default_verify_paths


def _load_if_verifying(context: ssl.SSLContext) -> None:
    if context.verify_mode is not ssl.CERT_NONE:
        _load(context)


ssl.SSLContext.set_default_verify_paths = _load_if_verifying  # type: ignore[assignment, method-assign]
try:
    import aiohttp  # noqa: F401
finally:
    ssl.SSLContext.set_default_verify_paths = _load  # type: ignore[method-assign]
