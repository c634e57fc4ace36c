"""In what situation an arm is timed. Results, samples and commands write a scenario as text, such as `batch_64`; here
alone that text is made and read."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["single", "batch", "offline", "server", "idle"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OFFLINE_BATCH = 64
"""Rows a call of the scenario `offline`."""
TEXT = re.compile(r"(?P<plain>single|server)|(?P<kind>batch|offline)_(?P<rows>[1-9]\d{0,8})|idle_(?P<gap>\d{1,9})ms")


@dataclass(frozen=True)
class Scenario:
    """`rows`: rows that a sample stands for. `gap_ms`: idle milliseconds before each call, of the kind `idle`."""

    kind: Kind
    rows: int = 1
    gap_ms: int | None = None

    @classmethod
    def parse(cls, text: object) -> "Scenario":
        """Raises ValueError if `text` is no scenario."""
        match = TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"must be single, batch_N, offline_N, server or idle_Nms, but got {str(text)[:60]!r}")
        if match["gap"]:
            return cls("idle", gap_ms=int(match["gap"]))
        kind: Any = match["plain"] or match["kind"]
        return cls(kind, int(match["rows"] or 1))

    def __str__(self) -> str:
        if self.kind == "idle":
            return f"idle_{self.gap_ms}ms"
        return self.kind if self.kind in ("single", "server") else f"{self.kind}_{self.rows}"

    @property
    def call_rows(self) -> int:
        """Rows that a call takes."""
        return OFFLINE_BATCH if self.kind == "offline" else self.rows

    @property
    def is_back_to_back(self) -> bool:
        """Whether a call follows the one before at once."""
        return self.kind in ("single", "batch", "offline")

    @property
    def is_batch_size(self) -> bool:
        """Whether it is one point of a sweep over batch sizes."""
        return self.kind in ("single", "batch")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """In JSON it is its text."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value),
            json_schema_input_schema=core_schema.str_schema(pattern=f"^({TEXT.pattern})$".replace("?P<", "?<")),
            serialization=core_schema.to_string_ser_schema(),
        )


SINGLE = Scenario("single")
