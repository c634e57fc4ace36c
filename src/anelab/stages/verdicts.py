"""What `register` prints: failed gates, and what each version now is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anelab.errors import warn
from anelab.texts import echo
from anelab.tracking.promotion_record import Promotion, PromotionRecord

if TYPE_CHECKING:
    from anelab.tracking.store import Store

COMPARISONS_BEFORE_WARNING = 20
OF_THE_MODEL = ("champion", "quality", "rules", "training")
"""Gates at which every format and variant of one trained model fails for the same cause."""
ADVICE = {
    "rules": "; the plain rule is the safer choice here (for reads: `anelab score --rule`). registry.threshold in "
    "params.yaml asks for a value of the metric instead, and `anelab model promote --force` promotes by hand"
}
"""What to do, where the reason does not say it."""


def holders(store: "Store", model: str, promotions: PromotionRecord) -> dict[str, tuple[str, str]]:
    """Champion's and challenger's version and content, as far as they are in this store."""
    from anelab.tracking.models import ALIASES, find_promoted

    found = {}
    for alias in ALIASES:
        promotion: Promotion | None = getattr(promotions, alias)
        version = find_promoted(store, model, promotion) if promotion else None
        if promotion and version:
            found[alias] = (str(version.version), promotion.content)
    return found


def _rank(judged: dict[str, Any], number: str, held: Mapping[str, tuple[str, str]]) -> str:
    for alias, (version, content) in held.items():
        if version == number:
            return alias
        if content == judged["content"]:
            return f"computes the same as the {alias}, version {version}"
    verdicts = [(gate["name"], gate["verdict"]) for gate in judged["gates"]]
    failed = [name for name, verdict in verdicts if verdict == "fail"]
    if failed:
        return f"held back by {', '.join(failed)}"
    return "not eligible" if "not eligible" in dict(verdicts).values() else "registered, not promoted"


def print_verdicts(
    registry: dict[str, Any],
    promotions: Mapping[str, PromotionRecord],
    versions: Mapping[str, Mapping[str, str]],
    held: Mapping[str, Mapping[str, tuple[str, str]]],
) -> None:
    """What a person should know: failed gates, and what each version now is. The mappings are by model."""
    counts = (len(record.comparisons.get(registry["test_digest"], ())) for record in promotions.values())
    used = max(counts, default=0)
    if used > COMPARISONS_BEFORE_WARNING:
        warn(f"{used} candidates were compared on this test set; by now chance may decide, so use a new test set")
    for gate, reasons in _failed(registry).items():
        warn(f"gate {gate} failed: {_one_text(gate, reasons)}{ADVICE.get(gate, '')}")
    metric = registry["metric"].partition(":")[2]
    for model, judged in registry["models"].items():
        for variant, candidate in judged["candidates"].items():
            number = versions[model].get(variant, "?")
            value = candidate["metrics"][metric]
            rank = _rank(candidate, number, held[model])
            echo(f"{model} version {number} ({variant}): {rank}, {metric} {value:.6g}")
            for one in candidate["gates"]:
                if one["name"] == "rules" and one["verdict"] in ("pass", "no better"):
                    echo(f"  {one['reason']}")


def _failed(registry: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Reasons by the name of the gate and of the candidate: what one cause holds back is told once."""
    found: dict[str, dict[str, str]] = {}
    for model, judged in registry["models"].items():
        for variant, candidate in judged["candidates"].items():
            if any(gate["verdict"] == "not eligible" for gate in candidate["gates"]):
                continue  # it could not be champion anyway, and its file was warned of when it was exported
            for gate in candidate["gates"]:
                if gate["verdict"] == "fail":
                    found.setdefault(gate["name"], {})[f"{model} {variant}"] = gate["reason"]
    return found


def _one_text(gate: str, reasons: Mapping[str, str]) -> str:
    """The first candidate's reason, and who else is held back; with reasons of their own, where the cause is not the
    trained model, which all of them have in common."""
    (first, reason), *others = reasons.items()
    alike = [name for name, other in others if gate in OF_THE_MODEL or other == reason]
    apart = [f"; {name}: {other}" for name, other in others if name not in alike]
    also = f" (also {', '.join(alike)})" if alike else ""
    return f"{first}: {reason}{also}{''.join(apart)}"
