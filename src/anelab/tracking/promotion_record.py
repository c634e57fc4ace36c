"""champion.json: the record of promotions, in git. The registry's aliases are its view.

One entry a registered model; the former champions stay in `former`, newest last, for `rollback`. A model
is the same if its `content` is, which leaves out the metadata: training again with another comment in the
code gives another file but no other model.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.files import write_json
from anelab.tracking.records import ChampionsJson, read_record

SCHEMA = 1
KEPT = 20


@dataclass(frozen=True)
class Promotion:
    """A model that is, was or may be champion: its file, its value on a test set, and what promoted it."""

    sha256: str
    content: str
    input_key: str
    variant: str
    metric: str
    value: float
    test_digest: str
    by: str


@dataclass(frozen=True)
class PromotionRecord:
    """Who is champion of one registered model, who may follow, and what a person decided."""

    champion: Promotion | None = None
    challenger: Promotion | None = None
    former: tuple[Promotion, ...] = ()
    demoted: tuple[str, ...] = ()
    """Contents that a person rolled back: training them again must not bring them back."""
    deleted: tuple[str, ...] = ()
    """sha256 of versions that a person deleted: `anelab sync` must not bring them back."""
    comparisons: dict[str, list[str]] = field(default_factory=dict)
    """Contents of the candidates that were compared, by test set."""

    def promote(self, promotion: Promotion) -> "PromotionRecord":
        """`promotion` as champion; the champion until now is challenger and first to roll back to."""
        if self.champion and self.champion.content == promotion.content:
            return self
        promotions = replace(self, demoted=_without(self.demoted, promotion.content))
        if self.champion is None:
            return replace(promotions, champion=promotion)
        former = (*self.former, self.champion)[-KEPT:]
        return replace(promotions, champion=promotion, challenger=self.champion, former=former)

    def choose(self, promotion: Promotion) -> "PromotionRecord":
        """A person's promotion: what was champion until now does not come back by registering it again."""
        promotions = self.promote(promotion)
        if self.champion is None or promotions is self:
            return promotions
        return replace(
            promotions, demoted=(*_without(promotions.demoted, self.champion.content), self.champion.content)
        )

    def challenge(self, promotion: Promotion) -> "PromotionRecord":
        if self.champion and self.champion.content == promotion.content:
            return self
        return replace(self, challenger=promotion)

    def rollback(self, model: str) -> "PromotionRecord":
        """The champion before this one, again. Raises AnelabError if there was none."""
        if not self.former or self.champion is None:
            raise AnelabError(f"{model} has had no champion before this one; see `anelab model inspect {model}`")
        *former, last = self.former
        return replace(
            self,
            champion=replace(last, by="rollback"),
            challenger=None,
            former=tuple(former),
            demoted=(*_without(self.demoted, last.content), self.champion.content),
        )

    def compared(self, test_digest: str, content: str) -> "PromotionRecord":
        """Count a comparison on that test set, once a candidate."""
        known = self.comparisons.get(test_digest, [])
        return replace(self, comparisons={**self.comparisons, test_digest: sorted({*known, content})})

    def delete(self, sha256: str) -> "PromotionRecord":
        return replace(self, deleted=(*_without(self.deleted, sha256), sha256))

    def undelete(self, sha256: str) -> "PromotionRecord":
        return replace(self, deleted=_without(self.deleted, sha256))


def _without(values: tuple[str, ...], value: str) -> tuple[str, ...]:
    return tuple(item for item in values if item != value)


def read_promotions(path: Path, model: str) -> PromotionRecord:
    content = _content(path)["models"].get(model)
    if content is None:
        return PromotionRecord()
    champion, challenger = content["champion"], content["challenger"]
    return PromotionRecord(
        champion=_promotion(champion) if champion else None,
        challenger=_promotion(challenger) if challenger else None,
        former=tuple(map(_promotion, content["former"])),
        demoted=tuple(content["demoted"]),
        deleted=tuple(content["deleted"]),
        comparisons=content["comparisons"],
    )


def write_promotions(path: Path, model: str, promotions: PromotionRecord) -> None:
    models = _content(path)["models"]
    write_json(path, {"schema": SCHEMA, "models": {**models, model: asdict(promotions)}})


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"models": {}}
    return read_record(ChampionsJson, path, "restore it with git")


def _promotion(content: dict[str, Any]) -> Promotion:
    return Promotion(**{item.name: content[item.name] for item in fields(Promotion)})
