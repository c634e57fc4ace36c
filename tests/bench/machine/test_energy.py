"""Energy, by meters that are told what they read; and zeus' own reading of a RAPL folder that is made for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from anelab.bench.machine import energy
from anelab.bench.machine.energy import AppleMeter, Meters, NvmlMeter, RaplMeter, dead, find_meters, per_inference


@dataclass
class FakeMachine:
    """Draws `idle_w`, and `load_w` more per component while it computes. Time passes as it is told."""

    idle_w: dict[str, float]
    load_w: dict[str, float]
    name: str = "fake"
    covers: tuple[str, ...] = ("CPU",)
    now: float = 0.0
    mj: dict[str, float] = field(default_factory=dict)

    def read(self) -> Mapping[str, float]:
        return {name: self.mj.get(name, 0.0) for name in self.idle_w}

    def spend(self, seconds: float, loaded: bool) -> None:
        self.now += seconds
        for name, watts in self.idle_w.items():
            extra = self.load_w.get(name, 0.0) if loaded else 0.0
            self.mj[name] = self.mj.get(name, 0.0) + (watts + extra) * seconds * 1e3

    def rest(self) -> None:
        self.spend(1.0, False)

    def burn(self) -> None:
        self.spend(1.0, True)

    def repeating(self, call_s: float) -> Callable[[int, int], int]:
        def repeat(min_ns: int, min_count: int) -> int:
            count = max(min_count, int(min_ns / 1e9 / call_s))
            self.spend(count * call_s, True)
            return count

        return repeat


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    found = FakeMachine({"cpu": 2.0, "ane": 0.0}, {"cpu": 5.0, "ane": 1.0})
    defaults = list(energy.measure.__defaults__ or ())
    monkeypatch.setattr(energy.measure, "__defaults__", (lambda: found.now, *defaults[1:]))
    return found


def test_energy_is_above_idle_and_by_component(machine: FakeMachine) -> None:
    """6 W above idle for calls of 1 ms: 6 mJ, of which the Neural Engine's is 1."""
    found = per_inference(machine, machine.repeating(0.001), on_ne=True, rest=machine.rest)
    assert found.mj_per_inference == pytest.approx(6.0)
    assert found.components_mj == pytest.approx({"ane": 1.0, "cpu": 5.0})
    assert found.inferences >= energy.LEAST_INFERENCES
    assert found.seconds >= energy.FIRST_WINDOW_S


def test_windows_grow_until_the_resolution_does_not_matter(machine: FakeMachine) -> None:
    machine.load_w = {"cpu": 0.02}
    found = per_inference(machine, machine.repeating(1e-5), on_ne=False, rest=machine.rest)
    assert found.seconds >= energy.LEAST_MJ / 20
    assert found.mj_per_inference == pytest.approx(0.02 * 1e-5 * 1e3)


def test_what_cannot_be_told_from_noise_is_unavailable_and_not_zero(machine: FakeMachine) -> None:
    machine.load_w = {"cpu": 1e-5}
    found = per_inference(machine, machine.repeating(1e-3), on_ne=False, rest=machine.rest)
    assert found.mj_per_inference is None
    assert "too little" in found.reason


def test_a_neural_engine_counter_that_reads_zero_makes_the_sum_unavailable(machine: FakeMachine) -> None:
    machine.load_w = {"cpu": 5.0}
    found = per_inference(machine, machine.repeating(0.001), on_ne=True, rest=machine.rest)
    assert found.mj_per_inference is None
    assert "read 0" in found.reason
    assert per_inference(machine, machine.repeating(0.001), False, machine.rest).mj_per_inference is not None


def test_a_counter_that_does_not_rise_under_load_is_dead(machine: FakeMachine) -> None:
    assert dead(machine, machine.rest, machine.burn) == ""
    machine.load_w = {}
    assert "is not believed" in dead(machine, machine.rest, machine.burn)


def test_apples_components_are_summed_without_those_it_does_not_tell() -> None:
    from zeus.device.soc.apple import AppleSiliconMeasurement

    class Soc:
        def get_total_energy_consumption(self) -> AppleSiliconMeasurement:
            return AppleSiliconMeasurement(cpu_total_mj=100, gpu_mj=5, ane_mj=7, efficiency_cores_mj=[1, 2])

    assert AppleMeter(Soc()).read() == {"cpu_total": 100.0, "gpu": 5.0, "ane": 7.0}


def test_zeus_reads_rapl_from_the_systems_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zeus.device.cpu import rapl

    for folder, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0/intel-rapl:0:0", "dram")):
        zone = tmp_path / folder
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "energy_uj").write_text("5000000\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
    monkeypatch.setattr(rapl, "RAPL_DIR", str(tmp_path))
    rapl.rapl_is_available.cache_clear()
    try:
        found = RaplMeter(rapl.RAPLCPUs()).read()
    finally:
        rapl.rapl_is_available.cache_clear()
    assert found == {"package0": 5000.0, "dram0": 5000.0}


def test_a_machine_without_counters_says_so() -> None:
    found = find_meters()
    assert bool(found.found) != bool(found.reason)
    if not found.found:
        meter, reason = found.of("CPU")
        assert meter is None
        assert "zeus" in reason


def test_an_arm_is_measured_only_by_a_counter_that_counts_its_device() -> None:
    """RAPL says nothing of a GPU, nor NVML of the processor."""
    rapl, nvml = RaplMeter(None), NvmlMeter(None)
    assert Meters([rapl, nvml]).of("CPU")[0] is rapl
    assert Meters([rapl, nvml]).of("GPU")[0] is nvml
    assert Meters([rapl]).of("GPU") == (None, "zeus RAPL does not count what the GPU draws")


def test_a_counter_that_rises_by_chance_is_not_believed(machine: FakeMachine) -> None:
    """Its second probe finds nothing."""
    rises = iter([True, False, True])
    load = lambda: machine.spend(1.0, next(rises))  # noqa: E731
    assert "is not believed" in dead(machine, machine.rest, load)


def test_a_restless_idle_machine_makes_small_energies_unavailable(machine: FakeMachine) -> None:
    idles = iter([2.0, 8.0])

    def rest() -> None:
        machine.idle_w["cpu"] = next(idles)
        machine.spend(1.0, False)
        machine.idle_w["cpu"] = 2.0

    found = per_inference(machine, machine.repeating(0.001), False, rest)
    assert found.mj_per_inference is None
