from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from safr_study.runner import energy
from safr_study.runner.energy import EnergyMeter


class Machine:
    """Counters that are set by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.own, self.busy, self.gpu = folder, 0.0, 0.0, 0.0

    def zone(self, name: str, joules: float, most: float = 1000.0) -> None:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        (place / "energy_uj").write_text(f"{round(1e6 * joules)}\n")
        (place / "max_energy_range_uj").write_text(f"{round(1e6 * most)}\n")

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self.own, system=0.0)


class Times(tuple[float, ...]):
    idle = iowait = 0.0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(energy.psutil, "cpu_times", lambda: Times((made.busy,)))
    monkeypatch.setattr(energy.psutil, "Process", lambda: made)
    return made


def test_a_run_has_its_share_of_what_the_processors_take(machine: Machine) -> None:
    machine.zone("intel-rapl:0", 100.0)
    # A part of the first processor is in it already.
    machine.zone("intel-rapl:0:0", 5.0)
    machine.zone("intel-rapl:1", 990.0)
    meter = EnergyMeter(0.0, powercap=machine.folder)
    machine.zone("intel-rapl:0", 160.0)
    machine.zone("intel-rapl:0:0", 55.0)
    # This one began anew.
    machine.zone("intel-rapl:1", 30.0)
    machine.own, machine.busy = 3.0, 4.0
    assert meter.joules() == pytest.approx(0.75 * (60.0 + 40.0))
    # Nothing was done since, so nothing of it is this run's.
    machine.zone("intel-rapl:0", 200.0)
    machine.busy = 8.0
    assert meter.joules() == pytest.approx(75.0)


def test_a_share_of_a_gpu_has_that_share_of_its_energy(machine: Machine) -> None:
    meter = EnergyMeter(0.25, powercap=machine.folder, gpu=lambda: machine.gpu)
    machine.gpu = 400.0
    assert meter.joules() == pytest.approx(100.0)


def test_without_a_counter_that_can_be_read_nothing_is_known(machine: Machine) -> None:
    (machine.folder / "intel-rapl:0").mkdir()
    assert EnergyMeter(0.0, powercap=machine.folder).joules() is None
    # A library that is not there is none either.
    assert EnergyMeter(1.0, powercap=machine.folder).joules() is None
