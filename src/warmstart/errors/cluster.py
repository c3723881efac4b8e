"""Error messages about trials on a Ray cluster: the package, the cluster and its nodes."""

from collections.abc import Sequence
from pathlib import Path

from warmstart.errors.base import RunError, UsageError
from warmstart.errors.counts import counted


def ray_missing() -> RunError:
    """Ray is not installed."""
    return RunError(
        found="ray is not installed",
        expected="ray, which runs the trials on a cluster",
        do="pip install 'warmstart[ray]'; or use this machine: --engine local",
    )


def ray_too_old(version: str, lowest: str) -> RunError:
    """Ray is older than what this program is tested with."""
    return RunError(
        found=f"ray {version} is installed",
        expected=f"ray {lowest} or newer, and the same version on every node",
        do="pip install --upgrade 'warmstart[ray]'; or use this machine: --engine local",
    )


def only_on_ray(options: Sequence[str]) -> UsageError:
    """Options of a cluster are given for trials on this machine."""
    return UsageError(
        found=f"{', '.join(options)} with --engine local",
        expected="these options only for trials on a Ray cluster",
        do="--engine ray, or leave them out",
    )


def not_cpus(count: int) -> UsageError:
    """A trial without a CPU."""
    return UsageError(
        found=f"--cpus-per-trial {count}",
        expected="at least 1 CPU, which is also the number of threads of a trial",
        do="--cpus-per-trial 1, or leave it out",
    )


def not_gpus(count: float) -> UsageError:
    """A trial on several GPUs, or on less than none."""
    return UsageError(
        found=f"--gpus-per-trial {count:g}",
        expected="a number from 0 to 1: a trial trains on one GPU or a share of it",
        do="--gpus-per-trial 1; 0.25 for four small models on one GPU; 0 to train on CPUs",
    )


def not_an_address(address: str) -> UsageError:
    """An address of another form, such as that of Ray's client."""
    return UsageError(
        found=f"the Ray address {address}",
        expected="HOST:PORT of a cluster that this machine belongs to, or auto",
        do="run the command on a node of the cluster, with --address auto",
    )


def unreachable(address: str, problem: str) -> RunError:
    """No cluster answers."""
    return RunError(
        found=f"no Ray cluster at {address}: {problem}",
        expected="a running cluster that this machine belongs to",
        do="start one: ray start --head (on the other machines: ray start --address HOST:PORT); "
        "or leave out --address and RAY_ADDRESS to use this machine alone",
    )


def connected_already(address: str) -> UsageError:
    """The script that calls has connected itself to a cluster."""
    return UsageError(
        found=f"address {address}, but this process is connected to a Ray cluster already",
        expected="one cluster",
        do="leave out the address to use this cluster, or call ray.shutdown() before",
    )


def no_room(cpus: int, gpus: float, nodes: Sequence[str]) -> RunError:
    """A trial is larger than every node."""
    wanted = counted(cpus, "CPU") + (f" and {gpus:g} GPU" if gpus else "")
    return RunError(
        found=f"a trial needs {wanted}; the nodes have: {'; '.join(nodes) or 'nothing'}",
        expected="a node with room for one trial",
        do="lower --cpus-per-trial or --gpus-per-trial (0 trains on CPUs), or add a node",
    )


def folder_not_shared(node: str, folder: Path) -> RunError:
    """A node does not see the experiment's folder."""
    return RunError(
        found=f"{folder} on node {node} is not the folder of this experiment",
        expected="a folder that every node sees under the same path, on a shared file system",
        do="choose one on a shared file system: --output DIR",
    )


def files_not_shared(node: str, files: Sequence[Path]) -> RunError:
    """A node does not see the data or the checkpoint."""
    return RunError(
        found=f"node {node} does not see {', '.join(map(str, files))}",
        expected="data and checkpoint under the same paths on every node",
        do="put them on a shared file system or copy them to every node, and name this path in the "
        "config",
    )


def other_version(node: str, package: str, theirs: str, ours: str) -> RunError:
    """A node has another version of a package, so that its scores could not be compared."""
    return RunError(
        found=f"node {node} has {package} {theirs}, this machine {ours}",
        expected="the same versions on every node: others give other scores",
        do=f"pip install {package}=={ours} in the environment of that node",
    )


def cannot_run(node: str, problem: str) -> RunError:
    """A task could not begin on a node."""
    return RunError(
        found=f"node {node} cannot run a trial: {problem}",
        expected="the same Python environment on every node, with warmstart",
        do="pip install 'warmstart[ray]' in the environment in which that node runs ray start",
    )
