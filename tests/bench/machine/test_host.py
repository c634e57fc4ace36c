from pathlib import Path
from typing import Any

import pytest

from anelab.bench.machine import host as host_module
from anelab.bench.machine.host import Watch, host_record, source_digest
from anelab.bench.machine.system import LinuxSystem, MacSystem, this_system

MAC = {
    ("/usr/bin/pmset", "-g", "batt"): "Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t100%; charged;",
    ("/usr/bin/pmset", "-g"): "System-wide power settings:\nCurrently in use:\n lowpowermode         0\n sleep 1",
    ("/usr/bin/sw_vers", "-buildVersion"): "25B78",
    ("/usr/sbin/sysctl", "-n", "hw.model"): "Mac16,1",
    ("/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"): "4",
    ("/usr/sbin/sysctl", "-n", "hw.perflevel1.physicalcpu"): "6",
    ("/usr/sbin/sysctl", "-n", "sysctl.proc_translated"): "0",
}


def mac(level: int | None = 0, **changed: str) -> MacSystem:
    answers = dict(MAC)
    for key, text in changed.items():
        (words,) = [words for words in answers if key in words[-1].replace(".", "_") or words[-1] == key]
        answers[words] = text
    return MacSystem(lambda *words: answers.get(words, ""), lambda: level)


def test_a_mac_is_read_from_its_own_tools() -> None:
    found = mac()
    assert (found.power(), found.low_power(), found.thermal()) == ("mains", False, "nominal")
    assert (found.build(), found.model(), found.clusters(), found.translated()) == ("25B78", "Mac16,1", (4, 6), False)
    assert mac(batt="Now drawing from 'Battery Power'").power() == "battery"
    assert mac(2).thermal() == "heavy"
    assert mac(proc_translated="1").translated()


def test_what_a_mac_does_not_tell_is_unknown() -> None:
    silent = MacSystem(lambda *words: "", lambda: None)
    assert (silent.power(), silent.thermal(), silent.low_power(), silent.build()) == ("unknown", "unknown", None, None)
    assert silent.clusters() == (None, None)


def sys_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_linux_is_read_from_sys(tmp_path: Path) -> None:
    counter = "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    files = {
        counter: "4\n",
        "class/power_supply/AC/type": "Mains\n",
        "class/power_supply/AC/online": "1\n",
        "class/power_supply/BAT0/type": "Battery\n",
        "class/power_supply/BAT0/status": "Charging\n",
        "devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "class/dmi/id/product_name": "ThinkPad\n",
    }
    system = LinuxSystem(sys_tree(tmp_path, files))
    assert (system.power(), system.governor(), system.model()) == ("mains", "powersave", "ThinkPad")
    assert system.thermal() == "nominal"
    (tmp_path / counter).write_text("9\n")
    assert system.thermal() == "throttled"
    assert system.thermal() == "nominal"
    sys_tree(tmp_path, {"class/power_supply/AC/online": "0", "class/power_supply/BAT0/status": "Discharging"})
    assert system.power() == "battery"


def test_a_mouses_battery_is_not_the_machines(tmp_path: Path) -> None:
    mouse = "class/power_supply/hidpp_battery_0"
    files = {f"{mouse}/type": "Battery", f"{mouse}/status": "Discharging", f"{mouse}/scope": "Device"}
    assert LinuxSystem(sys_tree(tmp_path, files)).power() == "unknown"


def test_an_empty_sys_is_unknown_and_not_fine(tmp_path: Path) -> None:
    system = LinuxSystem(tmp_path)
    assert (system.power(), system.thermal(), system.governor(), system.low_power()) == (
        "unknown",
        "unknown",
        None,
        None,
    )


class Scripted:
    """A system whose states are told, one at each look."""

    def __init__(self, thermal: list[str], power: list[str], low: list[bool | None]) -> None:
        self.states: dict[str, list[Any]] = {"thermal": thermal, "power": power, "low_power": low}

    def __getattr__(self, name: str) -> Any:
        states = self.__dict__["states"]
        if name in states:
            return lambda: states[name].pop(0)
        raise AttributeError(name)


@pytest.mark.parametrize(
    ("thermal", "power", "low", "left_out"),
    [
        (["nominal", "nominal"], ["mains", "mains"], [False, False], []),
        (["unknown", "unknown"], ["unknown", "unknown"], [None, None], []),
        (["nominal", "heavy"], ["mains", "mains"], [False, False], ["thermal pressure: heavy"]),
        (["throttled", "nominal"], ["mains", "mains"], [False, False], ["thermal pressure: throttled"]),
        (["nominal", "nominal"], ["mains", "battery"], [False, True], ["low power mode", "on battery"]),
    ],
)
def test_a_block_under_pressure_or_on_battery_is_left_out(
    thermal: list[str], power: list[str], low: list[bool | None], left_out: list[str]
) -> None:
    watch = Watch(Scripted(["before", *thermal], power, low))
    watch.begin()
    found = watch.end(3)
    assert (found.block, found.left_out) == (3, left_out)


def test_a_busy_machine_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others used 1.5 core-seconds in two seconds; what we used ourselves does not count."""
    monkeypatch.setattr(host_module.time, "monotonic", iter([0.0, 2.0]).__next__)
    monkeypatch.setattr(host_module, "busy_seconds", iter([100.0, 103.5]).__next__)
    monkeypatch.setattr(host_module, "own_seconds", iter([10.0, 12.0]).__next__)
    watch = Watch(Scripted(["nominal"] * 3, ["mains"] * 2, [False] * 2))
    watch.begin()
    found = watch.end(0)
    assert (found.other_cpu_cores, found.busy, found.left_out) == (0.75, True, [])


def test_the_record_of_this_host_is_whole() -> None:
    found = host_record(this_system())
    assert found.cores >= 1
    assert found.memory_bytes > 1 << 28
    assert len(found.fingerprint) == 16
    assert found.anelab == source_digest()
    assert set(found.versions) == {"coremltools", "numpy", "onnxruntime", "torch"}
