"""The base classes of all errors. The module that raises an error defines its class."""


class FrumiousError(Exception):
    """Base of all expected errors; the text says what failed and what to do."""


class Retryable(FrumiousError):
    """An error that is likely to pass by itself, so that a retry may succeed.

    `retry_after` is the number of seconds that the server requested to wait, if it did.
    """

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
