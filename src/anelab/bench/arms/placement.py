"""Where operators were seen to be put. Light, for workers tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Placement:
    """`share` is by cost where Core ML estimates it, else by operators; `ne_share` is null where nothing tells: that is
    "unavailable", not none."""

    source: Literal["compute_plan", "ort_assignment", "none"]
    operators: Mapping[str, int] = field(default_factory=dict)
    share: Mapping[str, float] = field(default_factory=dict)
    ne_share: float | None = None
    partitions: int | None = None
    switches: int | None = None
    supported_not_preferred: int | None = None

    @property
    def primary(self) -> str | None:
        """The device with the largest share."""
        return max(self.share, key=lambda device: self.share[device]) if self.share else None


UNAVAILABLE = Placement(source="none")
