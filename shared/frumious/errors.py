"""The roots of all errors. Each concrete error stands in the module that raises it."""


class FrumiousError(Exception):
    """Something that Frumious can name went wrong; the text says what, and what to do."""


class Retryable(FrumiousError):
    """The same job may well succeed a little later, with nobody doing anything.

    `retry_after` is how many seconds the other side asks for, where it does.
    """

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
