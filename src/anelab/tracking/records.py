"""Types of the files that record what was done and decided. They come with a clone, so they are anybody's: names,
digests and numbers are checked where they are read."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from anelab.bench.results.fields import DataDigest, FileName, ModelName, Sha256, WorkloadName
from anelab.errors import DamagedFileError
from anelab.files import load_json
from anelab.texts import printable, value_text

LATEST_MS = 7_573_737_600_000
"""The year 2210: a result of the last year that is taken, and what it took."""
Key = Annotated[str, StringConstraints(pattern=r"^[\w./: -]+$", max_length=250)]
"""Of a metric, parameter, tag or gate, as MLflow takes it. A workload may call its figures as it likes."""
Variant = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_]{1,40}$")]
Text = Annotated[str, StringConstraints(max_length=5000)]
Moment = Annotated[int, Field(ge=0, le=LATEST_MS)]
Figures = dict[Key, float]


class Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class GateJson(Record):
    name: Key
    verdict: Text
    reason: Text
    figures: Figures


class CandidateJson(Record):
    content: Sha256
    file: FileName
    gates: list[GateJson]
    metrics: Figures
    passed: bool
    sha256: Sha256


class RegisteredModelJson(Record):
    format: Variant
    candidates: dict[Variant, CandidateJson]


class RegistryJson(Record):
    """registry.json."""

    version: Literal[2] = Field(alias="schema")
    data_digest: DataDigest
    input_key: Sha256
    margin: float = 0.0
    metric: Text
    models: dict[ModelName, RegisteredModelJson]
    test_digest: Sha256


class PromotionJson(Record):
    by: Text
    content: Sha256
    input_key: Sha256
    metric: Text
    sha256: Sha256
    test_digest: Sha256
    value: float
    variant: Variant


class PromotionsJson(Record):
    champion: PromotionJson | None
    challenger: PromotionJson | None
    former: list[PromotionJson]
    demoted: list[Sha256]
    deleted: list[Sha256]
    comparisons: dict[Sha256, list[Text]]


class ChampionsJson(Record):
    """champion.json."""

    models: dict[ModelName, PromotionsJson]


class DatasetJson(Record):
    name: Key
    digest: DataDigest
    context: Key


class TrialJson(Record):
    number: int = Field(ge=0)
    value: float | None
    values: dict[Key, Any]
    curve: list[float]


class ReceiptJson(Record):
    version: Literal[1] = Field(alias="schema")
    workload: WorkloadName
    stage: Variant
    input_key: Sha256
    params: dict[Key, Any]
    metrics: Figures
    datasets: list[DatasetJson]
    history: list[Figures]
    trials: list[TrialJson]
    reports: list[FileName]


class ExecutionJson(Record):
    tags: dict[Key, Text]
    started_ms: Moment
    ended_ms: Moment


def read_record(kind: type[Record], path: Path, fix: str) -> dict[str, Any]:
    """The file's content, if it is of that kind. Raises DamagedFileError that ends in `fix`, which is what mends it;
    absence stays FileNotFoundError."""
    try:
        content: dict[str, Any] = load_json(path)
    except ValueError as error:
        raise DamagedFileError(f"{path}: is damaged (it holds no JSON: {error}); {fix}") from None
    if problem := problem_of(kind, content):
        raise DamagedFileError(f"{path}: is damaged ({problem}); {fix}")
    return content


def problem_of(kind: type[Record], content: Any) -> str:
    """Why a value is not of that kind; "" if it is."""
    try:
        kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = printable(".".join(map(str, first["loc"])), 100) or "the whole"
        return f"{place}: {first['msg']}, but got {value_text(first['input'])}"
    return ""
