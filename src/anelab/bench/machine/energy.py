"""Energy of an inference, above what the idle machine draws, where a counter tells and was seen to tell.

Counters are zeus': Apple's (a model of the system's, 1 mJ resolution, no root needed), Intel's and AMD's RAPL, NVML.
Some read zero under load, so each must first be seen to rise under a known one; else energy is unavailable, not 0.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from anelab.bench.results.schema import Energy

IDLE_SECONDS = 1.0
LOAD_SECONDS = 1.0
LEAST_RISE_MJ = 20.0
"""What a second of a busy core must add over a second of idleness for a counter to count as alive."""
RESOLUTION_MJ = 1.0
LEAST_MJ = 100 * RESOLUTION_MJ
"""A window must cost so much above idle for the resolution to matter by one per cent at most."""
UNREST = 5.0
"""And so many times what two idle stretches of that length differ by."""
LEAST_INFERENCES = 2000
FIRST_WINDOW_S, LONGEST_WINDOW_S = 2.0, 30.0

PROBES = 3
"""So often in a row a counter must rise, for noise may make it rise once."""

Repeat = Callable[[int, int], int]
"""Run for so many ns and so many calls at least: how many calls it was."""


class Meter(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def covers(self) -> tuple[str, ...]:
        """Devices that arms ask for, whose energy it counts whole."""

    def read(self) -> Mapping[str, float]:
        """Energy in mJ since some fixed time, by component; what the machine does not tell is absent."""


@dataclass(frozen=True)
class Window:
    """What a stretch of time cost, by component, and how long it was."""

    mj: dict[str, float]
    seconds: float

    @property
    def total(self) -> float:
        return sum(self.mj.values())


def measure(meter: Meter, work: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> Window:
    before, started = meter.read(), clock()
    work()
    seconds, after = clock() - started, meter.read()
    return Window({name: after[name] - before[name] for name in before.keys() & after.keys()}, seconds)


def dead(meter: Meter, rest: Callable[[], None] | None = None, load: Callable[[], None] | None = None) -> str:
    """Why the meter cannot be believed; "" if it rises under load."""
    for _ in range(PROBES):
        idle = measure(meter, rest or (lambda: time.sleep(IDLE_SECONDS)))
        busy = measure(meter, load or _burn)
        rise = busy.total - idle.total / idle.seconds * busy.seconds
        if rise < LEAST_RISE_MJ:
            break
    else:
        return ""
    return f"{meter.name} rose by {rise:.0f} mJ more in a busy second than in an idle one, so it is not believed"


def per_inference(meter: Meter, repeat: Repeat, on_ne: bool, rest: Callable[[], None] | None = None) -> Energy:
    """Energy above idle of a call of `repeat`, from a window long enough for the counter's resolution. `on_ne`: it was
    seen to be placed on the Neural Engine, whose counter must then rise too."""
    idles = [measure(meter, rest or (lambda: time.sleep(IDLE_SECONDS))) for _ in range(2)]
    idle = min(idles, key=lambda one: one.total / one.seconds)
    unrest_w = abs(idles[0].total / idles[0].seconds - idles[1].total / idles[1].seconds)
    seconds = FIRST_WINDOW_S
    while True:
        window, inferences = _window(meter, repeat, seconds)
        above = {
            name: value - idle.mj[name] / idle.seconds * window.seconds
            for name, value in window.mj.items()
            if name in idle.mj
        }
        if sum(above.values()) >= LEAST_MJ or window.seconds >= LONGEST_WINDOW_S:
            return _energy(meter, window, above, inferences, on_ne, unrest_w)
        seconds = max(2 * seconds, 2 * window.seconds)


def _window(meter: Meter, repeat: Repeat, seconds: float) -> tuple[Window, int]:
    """What calls for so long cost, and how many they were."""
    counts: list[int] = []
    window = measure(meter, lambda: counts.append(repeat(int(seconds * 1e9), LEAST_INFERENCES)))
    return window, counts[0]


def _energy(
    meter: Meter, window: Window, above: Mapping[str, float], inferences: int, on_ne: bool, unrest_w: float
) -> Energy:
    """`unrest_w`: by how many mJ a second two idle stretches differed."""
    total = sum(above.values())
    reason = ""
    if total < max(LEAST_MJ, UNREST * unrest_w * window.seconds):
        reason = f"{total:.0f} mJ above idle in {window.seconds:.0f} s is too little to tell from noise"
    if on_ne and not window.mj.get("ane"):
        reason = "the Neural Engine's counter read 0 under load, so the sum would miss it"
    return Energy(
        source=meter.name,
        mj_per_inference=None if reason else total / inferences,
        components_mj={} if reason else {name: value / inferences for name, value in sorted(above.items())},
        inferences=inferences,
        seconds=window.seconds,
        reason=reason,
    )


def _burn() -> None:
    end, value = time.monotonic() + LOAD_SECONDS, 1.0
    while time.monotonic() < end:
        for _ in range(1000):
            value = value * 1.0000001 + 1e-9


@dataclass(frozen=True)
class Meters:
    """The meters of a machine that are believed; `reason` says why there are none."""

    found: list[Meter]
    reason: str = ""

    def of(self, device: str) -> tuple[Meter | None, str]:
        """The first that counts what an arm of that device draws, or why there is none."""
        for meter in self.found:
            if device in meter.covers:
                return meter, ""
        names = ", ".join(meter.name for meter in self.found)
        return None, self.reason or f"{names} does not count what the {device} draws"


def find_meters() -> Meters:
    """This machine's. Each must rise under a known load first, but NVML's: what loads a GPU is the arm itself."""
    try:
        there = list(_zeus_meters())
    except ImportError as error:
        return Meters([], f"zeus is not installed ({error.name}); install 'anelab[energy]'")
    reasons = {meter.name: dead(meter) if "CPU" in meter.covers else "" for meter in there}
    alive = [meter for meter in there if not reasons[meter.name]]
    why = "; ".join(filter(None, reasons.values())) or "zeus finds no counter here (Apple Silicon, RAPL or NVML)"
    return Meters(alive, "" if alive else why)


def _zeus_meters() -> Iterator[Meter]:
    from zeus.device import get_cpus, get_gpus, get_soc
    from zeus.exception import ZeusBaseError

    for make in (lambda: AppleMeter(get_soc()), lambda: RaplMeter(get_cpus()), lambda: NvmlMeter(get_gpus())):
        try:
            meter = make()
            meter.read()
            yield meter
        except (ZeusBaseError, OSError):
            continue


class AppleMeter:
    name = "zeus AppleSilicon"
    covers = ("CPU", "Core ML", "GPU", "server")
    components = ("cpu_total", "gpu", "gpu_sram", "ane", "dram")

    def __init__(self, soc: Any) -> None:
        self.soc = soc

    def read(self) -> Mapping[str, float]:
        found = asdict(self.soc.get_total_energy_consumption())
        named = {name: found.get(f"{name}_mj") for name in self.components}
        return {name: float(value) for name, value in named.items() if value is not None}


class RaplMeter:
    name = "zeus RAPL"
    covers = ("CPU",)

    def __init__(self, cpus: Any) -> None:
        self.cpus = cpus

    def read(self) -> Mapping[str, float]:
        """The package counter includes what the cores take; DRAM's is its own where there is one."""
        found = {}
        for index in range(len(self.cpus)):
            energy = self.cpus.get_total_energy_consumption(index)
            found[f"package{index}"] = float(energy.cpu_mj)
            if energy.dram_mj is not None:
                found[f"dram{index}"] = float(energy.dram_mj)
        return found


class NvmlMeter:
    name = "zeus NVML"
    covers = ("GPU",)

    def __init__(self, gpus: Any) -> None:
        self.gpus = gpus

    def read(self) -> Mapping[str, float]:
        return {f"gpu{index}": float(self.gpus.get_total_energy_consumption(index)) for index in range(len(self.gpus))}
