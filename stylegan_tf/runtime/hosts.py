"""Which machines train together, as TF_CONFIG or SLURM says."""

import itertools
import json
import os
import re
from typing import NamedTuple

# TensorFlow's servers in SLURM jobs listen on ports from here on, below those that Linux gives to outgoing connections.
_FIRST_PORT, _JOBS, _PORTS_PER_JOB = 10000, 1250, 16


class Hosts(NamedTuple):
    """The machines of a run, or, where several processes share a machine, the processes.

    Attributes:
        index: Which one this is, from 0.
        addresses: "name:port" of each; empty for a run on one machine.
    """

    index: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def count(self):
        return max(len(self.addresses), 1)

    @property
    def chief(self):
        """Whether this is the one that writes."""
        return self.index == 0


def find_hosts(environment=os.environ):
    """Returns the `Hosts` that TF_CONFIG names, or else SLURM's step (`srun`), or else this machine alone.

    Raises:
        ValueError: The variables are damaged or incomplete, or ask for what is not there, such as parameter servers.
    """
    if environment.get("TF_CONFIG", "").strip():
        hosts = _from_tf_config(environment["TF_CONFIG"])
    elif "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        hosts = _from_slurm(environment)
    else:
        hosts = Hosts()
    return hosts if hosts.count > 1 else Hosts()


def _from_tf_config(text):
    """Hosts of {"cluster": {"chief": [...], "worker": [...]}, "task": {"type": "worker", "index": 0}}."""
    example = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
    expected = f"write it as {example}."
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG is no JSON ({error}); {expected}") from None
    cluster, task = (config.get(key) if isinstance(config, dict) else None for key in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ValueError(f"TF_CONFIG must have a cluster and a task; {expected}")
    for kind in cluster.keys() | {task.get("type")}:
        if kind not in ("chief", "worker"):
            raise ValueError(f"TF_CONFIG has tasks of type {kind!r}, but only worker and chief take part; {expected}")
    addresses = {kind: cluster.get(kind, []) for kind in ("chief", "worker")}
    for kind, listed in addresses.items():
        if not isinstance(listed, list) or not all(_is_address(address) for address in listed):
            raise ValueError(f'TF_CONFIG must list every {kind} as "name:port"; received {listed!r}.')
    kind, index = task["type"], task.get("index")
    if type(index) is not int or not 0 <= index < len(addresses[kind]):
        raise ValueError(f"TF_CONFIG says that this is {kind} {index!r}, but lists {len(addresses[kind])} of them.")
    together = tuple(addresses["chief"] + addresses["worker"])
    if len(addresses["chief"]) > 1 or len(set(together)) < len(together):
        raise ValueError("TF_CONFIG must have at most one chief, and every address once.")
    return Hosts(index + (len(addresses["chief"]) if kind == "worker" else 0), together)


def _is_address(address):
    return isinstance(address, str) and re.fullmatch(r".+:\d+", address) is not None


def _from_slurm(environment):
    """Hosts of a job step, one a task; tasks on the same node get ports one after the other."""
    index, count, job, node = (
        _slurm_number(environment, name)
        for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID", "SLURM_NODEID")
    )
    nodes = expand_nodes(_slurm_value(environment, "SLURM_STEP_NODELIST"))
    tasks = expand_tasks(_slurm_value(environment, "SLURM_STEP_TASKS_PER_NODE"))
    if len(nodes) != len(tasks) or sum(tasks) != count or index >= count:
        raise ValueError(
            f"SLURM's variables do not agree: task {index} of {count}, on {len(nodes)} nodes with {tasks} tasks; "
            "start training with srun, or set TF_CONFIG."
        )
    # Jobs that share a node have different numbers, hence ports, for up to 16 tasks on each.
    first = _FIRST_PORT + job % _JOBS * _PORTS_PER_JOB
    placed = [(place, task) for place, number in enumerate(tasks) for task in range(number)]
    if placed[index][0] != node:
        raise ValueError(
            "SLURM deals the tasks out in another order than node by node; add --distribution=block to srun."
        )
    return Hosts(index, tuple(f"{nodes[place]}:{first + task}" for place, task in placed))


def _slurm_value(environment, name):
    if name not in environment:
        raise ValueError(f"{name} is missing; start training with srun, or set TF_CONFIG.")
    return environment[name]


def _slurm_number(environment, name):
    text = _slurm_value(environment, name)
    if not text.isdecimal():
        raise ValueError(f"{name} must be a number; received {text!r}.")
    return int(text)


def expand_nodes(text):
    """Names of the nodes in one of SLURM's lists.

    >>> expand_nodes("node[01-03,07],other5")
    ['node01', 'node02', 'node03', 'node07', 'other5']

    Raises:
        ValueError: It is no such list.
    """
    names = []
    for part in _split_outside_brackets(text):
        # Text and bracket in turn: a name may have several brackets, and text after them.
        pieces = re.split(r"\[([^\[\]]*)\]", part)
        if not part or any(character in "[] " for piece in pieces[::2] for character in piece):
            raise ValueError(f"{text!r} is no list of SLURM nodes such as node[01-03,07],other5.")
        choices = [_expand_range(piece, text) if i % 2 else [piece] for i, piece in enumerate(pieces)]
        names += ["".join(choice) for choice in itertools.product(*choices)]
    return names


def _split_outside_brackets(text):
    return re.split(r",(?![^\[]*\])", text)


def _expand_range(ranges, text):
    """["01", "02", "03", "07"] of "01-03,07"; leading zeros are kept."""
    numbers = []
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"{part!r} is no range of SLURM nodes, in {text!r}.")
        first, last = match[1], match[2] or match[1]
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def expand_tasks(text):
    """Number of tasks on each node: [2, 2, 2, 1] of SLURM's "2(x3),1"; ValueError if it is no such list."""
    tasks = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not match:
            raise ValueError(f"{text!r} is no list of SLURM tasks such as 2(x3),1.")
        tasks += [int(match[1])] * int(match[2] or 1)
    return tasks
