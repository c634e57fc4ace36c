"""champion.json: the record of promotions, in git. The registry's aliases are its view.

One entry a registered model; the former champions stay in `former`, newest last, for `rollback`.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.files import read_json, write_json

SCHEMA = 1
KEPT = 20


@dataclass(frozen=True)
class Promotion:
    """A model that is or was champion, known by the sha256 of its model.onnx; `by` says what promoted it."""

    sha256: str
    input_key: str
    variant: str
    metric: str
    value: float
    by: str


@dataclass(frozen=True)
class Standing:
    """Who is champion of one registered model, who may follow, and how often each test set was used."""

    champion: Promotion | None = None
    challenger: Promotion | None = None
    former: tuple[Promotion, ...] = ()
    demoted: tuple[str, ...] = ()
    """sha256 of models that a person rolled back: training them again must not bring them back."""
    comparisons: dict[str, int] = field(default_factory=dict)

    def promote(self, promotion: Promotion) -> "Standing":
        """`promotion` as champion; the champion until now is challenger and first to roll back to."""
        cleared = tuple(sha for sha in self.demoted if sha != promotion.sha256)
        if self.champion is None or self.champion.sha256 == promotion.sha256:
            return replace(self, champion=promotion, demoted=cleared)
        former = (*self.former, self.champion)[-KEPT:]
        return replace(self, champion=promotion, challenger=self.champion, former=former, demoted=cleared)

    def challenge(self, promotion: Promotion) -> "Standing":
        return replace(self, challenger=promotion)

    def rollback(self, model: str) -> "Standing":
        """The champion before this one, again. Raises AnelabError if there was none."""
        if not self.former or self.champion is None:
            raise AnelabError(f"{model} has had no champion before this one; see `anelab model inspect {model}`")
        *former, last = self.former
        return replace(
            self,
            champion=replace(last, by="rollback"),
            challenger=self.champion,
            former=tuple(former),
            demoted=(*self.demoted, self.champion.sha256),
        )

    def compared(self, test_digest: str) -> "Standing":
        count = self.comparisons.get(test_digest, 0) + 1
        return replace(self, comparisons={**self.comparisons, test_digest: count})


def read_standing(path: Path, model: str) -> Standing:
    content = _content(path).get("models", {}).get(model)
    if content is None:
        return Standing()
    try:
        return Standing(
            champion=_promotion(content["champion"]),
            challenger=_promotion(content["challenger"]),
            former=tuple(Promotion(**item) for item in content["former"]),
            demoted=tuple(content["demoted"]),
            comparisons=content["comparisons"],
        )
    except (KeyError, TypeError) as error:
        raise AnelabError(f"{path}: the entry of {model} is damaged ({error}); restore it with git") from None


def write_standing(path: Path, model: str, standing: Standing) -> None:
    models = _content(path).get("models", {})
    write_json(path, {"schema": SCHEMA, "models": {**models, model: asdict(standing)}})


def _content(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path)) if path.is_file() else {}
    except ValueError as error:
        raise AnelabError(f"{path}: is not JSON ({error}); restore it with git") from None


def _promotion(content: dict[str, Any] | None) -> Promotion | None:
    return Promotion(**content) if content else None
