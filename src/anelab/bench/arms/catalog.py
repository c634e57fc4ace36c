"""Names and kinds of arms.

An arm is named `kind[/option][:variant]`, such as ort-cpu, ort-cpu/2:int8 or coreml/cpu_and_ne:fp16.
"""

import difflib

from anelab.bench.arms.contract import Arm, Subject
from anelab.errors import UsageError
from anelab.names import ARM, fits

MOST_THREADS = 1024


def parse_arm(text: str) -> Arm:
    """The arm of that name. Raises UsageError that says what is allowed."""
    head, _, variant = text.partition(":")
    kind, _, option = head.partition("/")
    known = kinds()
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"; did you mean {near[0]}?" if near and near[0] != kind else ""
    wanted = f"an arm is kind[/option][:variant] with a kind of {', '.join(known)}, but got {text}{hint}"
    if kind not in known:
        raise UsageError(wanted)
    arm = known[kind](_option(known[kind], option or None, text), variant or known[kind].variant_default)
    if not fits(ARM, text):
        raise UsageError(wanted)
    return arm


def _option(arm: type[Arm], option: str | None, text: str) -> str:
    if arm.options == ("threads",):
        if option is None or (option.isascii() and option.isdigit() and 1 <= int(option) <= MOST_THREADS):
            return str(int(option or 1))
        raise UsageError(f"{arm.kind}/N takes a number of threads from 1 to {MOST_THREADS}, but got {text}")
    if option is None:
        return arm.options[0] if arm.options else ""
    if option not in arm.options:
        allowed = ", ".join(f"{arm.kind}/{one}" for one in arm.options) or f"{arm.kind} alone"
        raise UsageError(f"{arm.kind} takes {allowed}, but got {text}")
    return option


def kinds() -> dict[str, type[Arm]]:
    """Every kind of arm, by name."""
    from anelab.bench.arms import coreml, exported, onnx, python

    found: list[type[Arm]] = [*onnx.ARMS, *coreml.ARMS, *python.ARMS, *exported.ARMS]
    return {arm.kind: arm for arm in found}


def every_arm(subject: Subject, threads: int) -> list[Arm]:
    """All arms of a subject, available or not: each kind with each option, and each variant of its format."""
    found: dict[str, Arm] = {}
    for arm in kinds().values():
        options = ("1", str(threads)) if arm.options == ("threads",) else arm.options or ("",)
        for variant in arm.variants(subject):
            found |= {one.name: one for one in (arm(option, variant).resolved(subject) for option in options)}
    return list(found.values())
