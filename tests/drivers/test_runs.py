"""The folder of a run, where two look after it at once."""

from pathlib import Path

from paas.core.ids import TaskId
from paas.drivers.runs import Record, Runs
from tests import programs
from tests.contract.rigs import NativeRig


class Overtaken(Runs):
    """Is preempted after it has read a record, until the run has been given its launcher."""

    def read(self, task_id: TaskId) -> Record | None:
        record = super().read(task_id)
        parked = self.parked / "launcher"
        parked.touch()
        self.folder(task_id).mkdir()
        self.take(task_id, parked)
        return record


def test_a_preparation_that_a_start_overtakes_leaves_it_its_record(open_root: Path) -> None:
    rig = NativeRig(open_root)
    rig.driver()  # makes the folder of logs
    runs = Overtaken(
        run_root=open_root / "runs",
        programs_root=open_root / "programs",
        homes_root=open_root / "homes",
        log_path=rig.log_path,
        user=None,
    )
    runs.open()
    spec = rig.spec(programs.ONE_SHOT)

    runs.prepare(spec)

    assert runs.is_taken(spec.task_id)
