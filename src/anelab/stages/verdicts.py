"""What `register` prints: failed gates, and what each version now is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anelab.errors import warn
from anelab.tracking.promotion_record import Promotion, PromotionRecord

if TYPE_CHECKING:
    from anelab.tracking.store import Store

COMPARISONS_BEFORE_WARNING = 20


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
    model: str,
    promotions: PromotionRecord,
    versions: Mapping[str, str],
    held: Mapping[str, tuple[str, str]],
) -> None:
    """What a person should know: failed gates, and what each version now is."""
    candidates = registry["models"][model]["candidates"]
    used = len(promotions.comparisons.get(registry["test_digest"], ()))
    if used > COMPARISONS_BEFORE_WARNING:
        warn(f"{used} candidates were compared on this test set; by now chance may decide, so use a new test set")
    for variant, judged in candidates.items():
        for gate in judged["gates"]:
            if gate["verdict"] == "fail":
                warn(f"{model} {variant}: gate {gate['name']} failed: {gate['reason']}")
    for variant, judged in candidates.items():
        number = versions.get(variant, "?")
        value = judged["metrics"][registry["metric"].partition(":")[2]]
        rank = _rank(judged, number, held)
        print(f"{model} version {number} ({variant}): {rank}, {registry['metric']} {value:.6g}")
        for gate in judged["gates"]:
            if gate["verdict"] == "no better":
                print(f"  {gate['reason']}")
