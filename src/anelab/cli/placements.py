"""Predicted placement of a package beside Core ML's plan, where there is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anelab.errors import AnelabError

if TYPE_CHECKING:
    from anelab.export.apple import Placement
    from anelab.export.placement.predicted import PredictedPlacement
    from anelab.export.placement.rates import Chip as Rates

CHIP_HELP = "Whose rates predict the placement: M4, M6, or by the name of the engine H13G (of the M1), H17G, H19."
Chip = Annotated[str, typer.Option(help=CHIP_HELP)]


@dataclass(frozen=True)
class Compared:
    """`predicted` is None for other compute units than cpu_and_ne; `plan` where there is no Core ML, as `no_plan`
    says."""

    predicted: "PredictedPlacement | None"
    plan: "Placement | None"
    no_plan: str
    differences: list[str]


def compare(path: Path, unit: str, function: str | None, chip: "Rates") -> Compared:
    """Raises AnelabError if the placement can be neither predicted nor planned here."""
    from anelab.export.apple import CoreMLRuntime, native
    from anelab.export.placement.predicted import function_operations, package_placements, plan_differences

    name, operations = function_operations(path, function)
    predicted = package_placements(path, chip)[name] if unit == "cpu_and_ne" else None
    try:
        runtime = CoreMLRuntime(native())
    except AnelabError as error:
        if predicted is None:
            raise AnelabError(
                f"placement is predicted for cpu_and_ne only, and there is no plan here: {error}"
            ) from None
        return Compared(predicted, None, f"no plan by Core ML itself: {error}", [])
    plan = runtime.placement(path, unit, function)
    differences = plan_differences(operations, plan.devices, chip) if predicted is not None else []
    return Compared(predicted, plan, "", differences)


def plan_text(plan: "Placement") -> str:
    lines = ["PLANNED by this Mac's Core ML, not a trace of what ran"]
    for device, count in plan.operators.items():
        cost = f", {plan.cost[device]:.1%} of the estimated cost" if plan.cost else ""
        lines.append(f"  {device}: {count} operators ({plan.operator_share.get(device, 0):.1%}){cost}")
    lines.append(
        f"  {plan.switches} switches between devices; {plan.supported_not_preferred} operators that the Neural Engine "
        "could run are planned elsewhere"
    )
    return "\n".join(lines)
