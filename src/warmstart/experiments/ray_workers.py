"""Trials on a Ray cluster: each one is a Ray task with its CPUs and its GPU, or a share of one.

Ray chooses the node, lets a task wait until there is room, and begins it again if its process or
its node dies. It then resumes the trial in its run directory, on whichever node it is now. So all
nodes must see the experiment's folder, the data and the checkpoint under the same paths; each node
is asked before the first trial, and again before each one. ``ray.cancel`` sends a task what Ctrl-C
sends a command: the trial is saved and ends.

Source: Ray documentation, "Tasks", "Fault Tolerance" and ``ray.cancel``.
"""

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import warmstart
from warmstart import errors
from warmstart.config import RunConfig
from warmstart.errors.counts import counted
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.experiments.ray_connection import (
    connection,
    last_line,
    refuse_old_ray,
    refuse_silent,
)
from warmstart.experiments.workers import (
    MOST_ATTEMPTS,
    POLL_SECONDS,
    WorkOrder,
    died,
    run_here,
)

if TYPE_CHECKING:
    from ray import ObjectRef

PROBE_SECONDS = 120
"""Time for a node to start a process and answer."""

SAME_VERSIONS = ("torch", "transformers")
"""Packages that must be the same on every node."""


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """Where trials run: on a Ray cluster that this machine belongs to.

    Args:
        count: number of trials that run at the same time; by default as many as there is room for.
        address: ``HOST:PORT`` or ``auto``; by default that in RAY_ADDRESS, else the cluster that
            runs on this machine, else a new one on this machine alone, for this experiment.
        cpus_per_trial: CPUs, and threads, of each trial.
        gpus_per_trial: from 0 to 1; with 0.25, four trials share one GPU. By default 1 if the
            cluster has GPUs.
    """

    count: int | None = None
    address: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None

    def refuse_unusable(self) -> None:
        """Raise an error for what can be checked without the cluster.

        Raises:
            RunError: Ray is missing or too old, or nothing answers at the address.
            UsageError: a number or the address is not valid.
        """
        refuse_old_ray()
        if self.count is not None and self.count < 1:
            raise errors.experiment.too_few_workers(self.count)
        if self.cpus_per_trial < 1:
            raise errors.cluster.not_cpus(self.cpus_per_trial)
        if self.gpus_per_trial is not None and not 0 <= self.gpus_per_trial <= 1:
            raise errors.cluster.not_gpus(self.gpus_per_trial)
        refuse_silent(self.address)

    @contextmanager
    def connected(self, folder: ExperimentFolder, files: Sequence[Path]) -> Iterator["RayCluster"]:
        """Within the block, this process is connected to the cluster.

        Args:
            folder: the experiment's folder.
            files: files and folders that a trial reads.

        Raises:
            RunError: the cluster cannot be reached, or no node has room for a trial.
        """
        # Ray prints what happens to its processes to stdout, which is for results.
        with redirect_stdout(sys.stderr), connection(self.address):
            yield RayCluster(self, self._gpus(), folder, tuple(files))

    def _gpus(self) -> float:
        """GPUs of each trial."""
        import ray

        if self.gpus_per_trial is not None:
            return self.gpus_per_trial
        return float(ray.cluster_resources().get("GPU", 0) > 0)


@contextmanager
def ready_place(
    workers: int | RayWorkers, folder: ExperimentFolder, files: Sequence[Path]
) -> Iterator["int | RayCluster"]:
    """Where the trials run; a cluster is connected within the block.

    Args:
        workers: number of processes, or a Ray cluster.
        folder: as for ``RayWorkers.connected``.
        files: as for ``RayWorkers.connected``.
    """
    if isinstance(workers, RayWorkers):
        with workers.connected(folder, files) as cluster:
            yield cluster
    else:
        yield workers


@dataclass(frozen=True, slots=True)
class Needs:
    """What a node must have; it can be sent there.

    Args:
        record: the path of the experiment's ``experiment.json``.
        content: its content.
        files: files and folders that a trial reads.
        versions: version of each package.
    """

    record: Path
    content: str
    files: tuple[Path, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A cluster to which this process is connected.

    Args:
        workers: how to use it.
        gpus: GPUs of each trial.
        folder: the experiment's folder.
        files: files and folders that a trial reads.
    """

    workers: RayWorkers
    gpus: float
    folder: ExperimentFolder
    files: tuple[Path, ...]

    def run(
        self, orders: Iterable[WorkOrder], over: Callable[[], bool], stopping: Callable[[], bool]
    ) -> Iterator[Outcome]:
        """Run trials; the arguments are those of ``TrialPlace``.

        Raises:
            RunError: a node does not see the files, or has another version of a package.
        """
        import ray

        nodes = self._nodes_with_room()
        needs = self._needs()
        self._ask(nodes, needs)
        task = ray.remote(run_on_node).options(**self._resources())
        most = self.workers.count or sum(nodes.values())
        waiting, running = iter(orders), dict[Any, WorkOrder]()
        told = False
        try:
            while True:
                while len(running) < most and not over() and (order := next(waiting, None)):
                    running[task.remote(order, needs)] = order
                if not running:
                    return
                if stopping() and not told:
                    told = True
                    _tell(running)
                for ref in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
                    order = running.pop(ref)
                    outcome = _ended(order, ref)
                    if outcome.status == "interrupted" and not told:  # its node is shut down
                        running[task.remote(order, needs)] = order
                    else:
                        yield outcome
        finally:
            for ref in running:  # the caller has an error, or a second signal came
                ray.cancel(ref, force=True)

    def _resources(self) -> dict[str, Any]:
        """Ray's options of the task of a trial."""
        threads = str(self.workers.cpus_per_trial)
        variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if not self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ""
        return {
            "num_cpus": self.workers.cpus_per_trial,
            "num_gpus": self.gpus,
            "max_retries": MOST_ATTEMPTS - 1,
            "runtime_env": {"env_vars": variables},
        }

    def _nodes_with_room(self) -> dict[str, int]:
        """The number of trials for which each node has room, by its id.

        Raises:
            RunError: no node has room.
        """
        import ray

        cpus, gpus = self.workers.cpus_per_trial, self.gpus
        alive = {str(one["NodeID"]): one["Resources"] for one in ray.nodes() if one["Alive"]}
        rooms = {node: room_on(has, cpus, gpus) for node, has in alive.items()}
        found = {node: room for node, room in rooms.items() if room}
        if not found:
            raise errors.cluster.no_room(cpus, gpus, [_shown(has) for has in alive.values()])
        return found

    def _needs(self) -> Needs:
        record = self.folder.entry("experiment.json")
        versions = {"warmstart": warmstart.__version__, **{p: version(p) for p in SAME_VERSIONS}}
        return Needs(record, record.read_text(encoding="utf-8"), self.files, versions)

    def _ask(self, nodes: Iterable[str], needs: Needs) -> None:
        """Ask each node, at the same time, whether a trial can run there."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        probe = ray.remote(problem_of_this_node)
        asked = []
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            options = {**self._resources(), "num_cpus": 0, "num_gpus": 0}
            asked.append(probe.options(**options, scheduling_strategy=there).remote(needs))
        for node, ref in zip(nodes, asked, strict=True):
            try:
                problem = ray.get(ref, timeout=PROBE_SECONDS)
            except ray.exceptions.RayError as error:
                raise errors.cluster.cannot_run(node[:8], last_line(error)) from error
            if problem is not None:
                raise problem


def files_of(config: RunConfig) -> list[Path]:
    """The local files and folders that a config names: data and checkpoint.

    Args:
        config: with absolute paths, as ``config_file.resolve_paths`` returns it.
    """
    names: list[Any] = [config.model.name, config.data.dir]
    for source in config.data.sources.values():
        names += source if isinstance(source, list) else [source]
    paths = [Path(name.partition("!")[0]) for name in names if isinstance(name, str)]
    return [path for path in paths if path.is_absolute()]


def room_on(resources: Mapping[str, float], cpus: int, gpus: float) -> int:
    """The number of trials that run on a node at the same time.

    Args:
        resources: what the node has, by Ray's names.
        cpus: CPUs of each trial.
        gpus: GPUs of each trial.

    >>> node = {"CPU": 8.0, "GPU": 1.0}
    >>> room_on(node, 1, 0.25), room_on(node, 4, 0.25), room_on(node, 1, 0), room_on({}, 1, 0)
    (4, 2, 8, 0)
    """
    room = int(resources.get("CPU", 0) // cpus)
    return min(room, int(resources.get("GPU", 0) / gpus + 1e-9)) if gpus else room


def run_on_node(order: WorkOrder, needs: Needs) -> Outcome:
    """The task of a trial.

    Args:
        order: what to run.
        needs: what the node must have; it may have been added after the others were asked.
    """
    problem = problem_of_this_node(needs)
    if problem is not None:
        return Outcome(order.name, "failed", 0.0, str(problem))
    return run_here(order)


def problem_of_this_node(needs: Needs) -> errors.RunError | None:
    """Why trials cannot run on this node; None if they can.

    Args:
        needs: what it must have.
    """
    node = platform.node()
    for package, ours in needs.versions.items():
        theirs = warmstart.__version__ if package == "warmstart" else version(package)
        if theirs != ours:
            return errors.cluster.other_version(node, package, theirs, ours)
    try:
        same = needs.record.read_text(encoding="utf-8") == needs.content
    except OSError:
        same = False
    if not same:
        return errors.cluster.folder_not_shared(node, needs.record.parent)
    missing = [path for path in needs.files if not path.exists()]
    return errors.cluster.files_not_shared(node, missing) if missing else None


def _shown(resources: Mapping[str, float]) -> str:
    """CPUs and GPUs of a node."""
    cpus, gpus = (int(resources.get(name, 0)) for name in ("CPU", "GPU"))
    return f"{counted(cpus, 'CPU')}, {counted(gpus, 'GPU')}"


def _tell(running: "Iterable[ObjectRef[Outcome]]") -> None:
    """Ask the tasks to save their trials and stop; one that has not begun ends at once."""
    import ray

    for ref in running:
        ray.cancel(ref)


def _ended(order: WorkOrder, ref: Any) -> Outcome:
    """How a task ended."""
    import ray

    try:
        outcome: Outcome = ray.get(ref)
    except ray.exceptions.TaskCancelledError:
        return Outcome(order.name, "interrupted", 0.0)
    except ray.exceptions.RayTaskError as error:
        return Outcome(order.name, "failed", 0.0, f"{last_line(error)}\n{error}")
    except ray.exceptions.RayError:
        return died(order.name)
    return outcome
