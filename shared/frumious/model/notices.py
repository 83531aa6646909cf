"""What waits for a person: lists that cannot be read, absent names, removals to confirm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.model.plans import Reason
from frumious.model.types import Count, ProjectName

if TYPE_CHECKING:
    from frumious.model.types import JsonObject


class Notices(Struct, frozen=True, kw_only=True):
    """What waits for a person, as `state/notices.json` keeps it."""

    revision: Count = 0  # grows with each change; the cursor names the one that counts
    # Names of the configuration's lists that upstream lacks, each with a similar one.
    absent: Mapping[ProjectName, ProjectName | None] = {}
    withheld: Mapping[ProjectName, Reason] = {}  # removals that wait for a confirmation
    unconfirmed: Count = 0  # how many have to be confirmed: the mirror may not have all of them
    lists: Mapping[str, str] = {}  # that cannot be read, so that their last good copies count; why

    @property
    def payload(self) -> JsonObject:
        """What the mirror's operators may know."""
        absent: JsonObject = dict(self.absent.items())
        withheld: JsonObject = dict(self.withheld.items())
        return {
            "absent": absent,
            "withheld": withheld,
            "unconfirmed": self.unconfirmed,
            "lists": dict(self.lists.items()),
        }

    @property
    def list_texts(self) -> list[str]:
        """A sentence for each list that cannot be read."""
        return [f"{problem}; its last good copy counts" for problem in self.lists.values()]

    @property
    def public_payload(self) -> JsonObject:
        """What readers may know: numbers. Anybody could register an absent name upstream."""
        withheld: JsonObject = dict(sorted(Counter(self.withheld.values()).items()))
        return {
            "revision": self.revision,
            "absent": len(self.absent),
            "withheld": withheld,
            "unconfirmed": self.unconfirmed,
            "lists": len(self.lists),
        }
