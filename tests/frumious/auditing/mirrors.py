"""A mirror of the fake upstream on any storage, for audits."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from frumious.auditing.audit import AuditSettings, audit
from frumious.config import loading
from frumious.local import run_here
from frumious.mirror import Mirror, open_mirror
from frumious.model.types import Key
from frumious.planning.plan import plan_changes
from frumious.repairing import repair_here
from frumious.state.audit import AuditStore
from tests.clock import MovableClock

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from frumious.model.audits import AuditProgress, Finding
    from tests.upstream import Index, Server

DAY = 24 * 3600.0


class AuditedMirror:
    """A context manager; its clock is far enough ahead that nothing counts as under way."""

    def __init__(self, upstream: Server, storage: str, options: str = "") -> None:
        """Take the lines of the configuration that name the storage: [mirror], then others."""
        general, _, sections = storage.partition("\n[")
        sections = f"[{sections}" if sections else ""
        text = (
            f"[mirror]\nmaster = {upstream.url}\nallow-non-https = true\n"
            f"{'' if 'delete-after' in options else 'delete-after = 0'}\nretry-pause = 1\n"
            f"{general}\n{options}\n{sections}\n"
        )
        self.config = loading.parse(text, {})
        self.index: Index = upstream.index
        self.clock = MovableClock()
        self._runner = asyncio.Runner()
        self._opened = AsyncExitStack()

    def __enter__(self) -> Self:
        self.mirror: Mirror = self.run(
            self._opened.enter_async_context(open_mirror(self.config, self.clock))
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._opened.aclose())
        self._runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def sync(self) -> None:
        """Bring the mirror in step, and let all of it grow old."""

        async def sync() -> None:
            await run_here(await plan_changes(self.mirror), self.mirror, lambda *_: None)

        self.run(sync())
        self.clock.advance(2 * DAY)

    def audit(self, deadline: float = math.inf, **settings: Any) -> AuditProgress:
        progress: AuditProgress = self.run(
            audit(self.mirror, AuditSettings(**settings), deadline=deadline)
        )
        return progress

    def findings(self, **settings: Any) -> list[Finding]:
        """Audit anew, and return what is found."""
        progress = self.audit(restart=True, **settings)

        async def read() -> list[Finding]:
            return [each async for each in AuditStore(self.mirror.storage).findings(progress)]

        findings: list[Finding] = self.run(read())
        assert progress.damaged == sum(each.kind.is_damage for each in findings)
        return findings

    def found(self, **settings: Any) -> set[tuple[str, str]]:
        return {(each.kind.value, each.key) for each in self.findings(**settings)}

    def repair(self, *, deep: bool = False) -> dict[str, str]:
        """Audit anew, repair what is found, and return what became of each key."""
        findings = self.findings(deep=deep)
        repaired, _ = self.run(repair_here(findings, self.mirror, lambda *_: None, deep=deep))
        self.clock.advance(2 * DAY)
        return {each.finding.key: each.outcome.value for each in repaired}

    def keys(self, prefix: str = "") -> list[Key]:
        async def read() -> list[Key]:
            return [entry.key async for entry in self.mirror.storage.list(prefix)]

        keys: list[Key] = self.run(read())
        return keys

    def read(self, key: str) -> bytes:
        stored = self.run(self.mirror.storage.read(Key(key)))
        body: bytes = stored.body
        return body

    def write(self, key: str, body: bytes) -> None:
        self.run(self.mirror.storage.write(Key(key), body))

    def delete(self, *keys: str) -> None:
        self.run(self.mirror.storage.delete([Key(key) for key in keys]))

    def file(self, filename: str) -> Key:
        """Return the key of a stored file."""
        (key,) = [key for key in self.keys("web/packages/") if key.endswith(f"/{filename}")]
        return key
