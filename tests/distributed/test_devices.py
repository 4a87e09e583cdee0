"""Which hosts the environment names, and what happens where GPUs or hosts are missing."""

import json
import types

import pytest
import tensorflow as tf

from stylegan_tf.runtime import agreement, devices
from stylegan_tf.runtime.agreement import HostLost, watch
from stylegan_tf.runtime.devices import make_strategy
from stylegan_tf.runtime.hosts import Hosts, expand_nodes, expand_tasks, find_hosts
from stylegan_tf.training.reporting import peak_memory_gb

STEP = {
    "SLURM_PROCID": "3",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "1253",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}
TWO = Hosts(0, ("a:1", "b:2"))


def tf_config(kind="worker", index=0, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": ""},
        tf_config(worker=["a:1"]),
        {**STEP, "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_STEP_NUM_TASKS": "1"}
        | {"SLURM_STEP_NODELIST": "node07", "SLURM_STEP_TASKS_PER_NODE": "1"},
        # A batch script, where srun has started nothing.
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NODELIST": "node[07-08]", "SLURM_JOB_ID": "1"},
    ],
)
def test_one_host(environment):
    hosts = find_hosts(environment)
    assert hosts == Hosts() and hosts.count == 1 and hosts.chief


def test_hosts_of_tf_config():
    assert find_hosts(tf_config(worker=["a:1", "b:2"], index=1)) == Hosts(1, ("a:1", "b:2"))
    with_chief = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    assert find_hosts(tf_config("chief", **with_chief)) == Hosts(0, ("a:1", "b:2", "c:3"))
    last = find_hosts(tf_config("worker", 1, **with_chief))
    assert last == Hosts(2, ("a:1", "b:2", "c:3")) and last.count == 3 and not last.chief
    assert find_hosts(STEP | tf_config(worker=["a:1", "b:2"])).addresses == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, r"TF_CONFIG is no JSON \(.*\); write it as \{"),
        ({"TF_CONFIG": "[1]"}, r"must have a cluster and a task"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, r"must have a cluster and a task"),
        (tf_config(worker=["a:1"], ps=["b:2"]), r"tasks of type 'ps', but only worker and chief"),
        (tf_config("evaluator", worker=["a:1"]), r"tasks of type 'evaluator'"),
        (tf_config(worker="a:1"), r'must list every worker as "name:port"; received \'a:1\''),
        (tf_config(worker=["a", "b:2"]), r"must list every worker"),
        (tf_config(worker=["a:1", "b:2"], index=2), r"this is worker 2, but lists 2 of them"),
        (tf_config(worker=["a:1", "b:2"], index="1"), r"this is worker '1'"),
        (tf_config("chief", worker=["a:1", "b:2"]), r"this is chief 0, but lists 0 of them"),
        (tf_config(worker=["a:1", "a:1"]), r"every address once"),
        (tf_config(worker=["c:1"], chief=["a:1", "b:2"]), r"at most one chief"),
        (
            {**STEP, "SLURM_STEP_NUM_TASKS": "5"},
            r"task 3 of 5, on 2 nodes with \[2, 2\] tasks; start training with srun",
        ),
        ({**STEP, "SLURM_STEP_NODELIST": "node07"}, r"do not agree"),
        ({**STEP, "SLURM_PROCID": "x"}, r"SLURM_PROCID must be a number; received 'x'"),
        ({**STEP, "SLURM_NODEID": "0"}, r"add --distribution=block to srun"),
        ({k: v for k, v in STEP.items() if k != "SLURM_JOB_ID"}, r"SLURM_JOB_ID is missing"),
    ],
)
def test_wrong_environment_is_one_sentence(environment, message):
    with pytest.raises(ValueError, match=message) as error:
        find_hosts(environment)
    assert "\n" not in str(error.value)


def test_hosts_of_slurm():
    # Job 1253 is 3 after a multiple of 1250: its ports begin at 10000 + 3 * 16.
    expected = ("node07:10048", "node07:10049", "node08:10048", "node08:10049")
    assert find_hosts(STEP) == Hosts(3, expected)
    assert find_hosts({**STEP, "SLURM_PROCID": "1", "SLURM_NODEID": "0"}) == Hosts(1, expected)


def test_jobs_do_not_share_ports():
    ports = [find_hosts({**STEP, "SLURM_JOB_ID": str(job)}).addresses for job in range(1250)]
    ports = [int(address.split(":")[1]) for addresses in ports for address in addresses[:2]]
    assert len(set(ports)) == 2500 and min(ports) >= 1024 and max(ports) < 32768


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", ["node1"]),
        ("node[01-03,07],other5", ["node01", "node02", "node03", "node07", "other5"]),
        ("a[9-11]", ["a9", "a10", "a11"]),
        ("a,b-1,c[098-100].net", ["a", "b-1", "c098.net", "c099.net", "c100.net"]),
        ("r[1-2]n[3,5]", ["r1n3", "r1n5", "r2n3", "r2n5"]),
    ],
)
def test_node_lists(text, names):
    assert expand_nodes(text) == names


@pytest.mark.parametrize("text", ["", "a,,b", "a[1-2", "a]", "a[]", "a[x]", "a[3-1]", "a[1-2-3]", "a b", "a[[1]]"])
def test_damaged_node_lists(text):
    with pytest.raises(ValueError, match=r"of SLURM nodes"):
        expand_nodes(text)


def test_task_lists():
    assert expand_tasks("2(x3),1") == [2, 2, 2, 1]
    assert expand_tasks("8") == [8]
    for text in ("", "2(x3", "a", "2,"):
        with pytest.raises(ValueError, match=r"is no list of SLURM tasks"):
            expand_tasks(text)


def test_too_many_gpus():
    found = devices.count_gpus()
    for hosts in (Hosts(), TWO):
        with pytest.raises(ValueError, match=rf"--num-gpus={found + 1} is more than the {found} GPUs"):
            make_strategy(found + 1, hosts)


@pytest.fixture
def eight_gpus(monkeypatch):
    """What TensorFlow is told about the eight GPUs that it seems to find."""
    told = {"set_memory_growth": []}
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{number}", "GPU") for number in range(8)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda seen, kind: told.update(seen=[gpu.name[-1] for gpu in seen], kind=kind)
    )
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, _: told["set_memory_growth"].append(gpu.name[-1])
    )
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: devices)
    return told


@pytest.mark.parametrize(
    ("num_gpus", "devices"), [(0, ["/cpu:0"]), (1, ["/gpu:0"]), (8, [f"/gpu:{number}" for number in range(8)])]
)
def test_other_gpus_are_hidden(eight_gpus, num_gpus, devices):
    assert make_strategy(num_gpus, Hosts()) == devices
    used = [str(number) for number in range(num_gpus)]
    assert eight_gpus == {"seen": used, "kind": "GPU", "set_memory_growth": used}


def test_memory_of_a_run_that_uses_no_gpu(eight_gpus):
    assert 0.05 < peak_memory_gb() < 100


def test_gpus_of_a_process_where_tensorflow_runs(eight_gpus, monkeypatch):
    """Those that it has opened can be used, and no others."""

    def refuse(*_):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind] * 2)
    assert make_strategy(1, Hosts()) == ["/gpu:0"]
    with pytest.raises(ValueError, match=r"--num-gpus=3 is more than the 2 GPUs .* already opened in this process"):
        make_strategy(3, Hosts())


def test_one_host_on_the_cpu():
    strategy = make_strategy(0, Hosts())
    assert isinstance(strategy, tf.distribute.MirroredStrategy) and strategy.num_replicas_in_sync == 1
    assert "CPU:0" in strategy.extended.worker_devices[0]
    assert agreement.agree(strategy, 5).numpy() == 5
    agreement.check_alike(strategy, Hosts(), {"seed": 1})


@pytest.mark.parametrize(
    ("message", "who"),
    [
        ("Socket closed, target /job:worker/replica:0/task:1 while calling", "Host 1 (b:2) of 2 was lost"),
        ("Deadline Exceeded RPC: /tensorflow.CoordinationService/Heartbeat", "Host 0 (a:1) of 2 was lost"),
        ("CollectiveReduce is aborted", "Another host of 2 was lost"),
    ],
)
def test_lost_host_is_named(monkeypatch, message, who):
    monkeypatch.setattr(watch, "_answers", lambda self, other: True)
    hosts = Hosts(1, TWO.addresses) if "Heartbeat" in message else TWO
    with pytest.raises(HostLost) as error, watch(hosts):
        raise tf.errors.UnavailableError(None, None, message)
    assert str(error.value).startswith(who) and "--auto-resume" in str(error.value) and "\n" not in str(error.value)


def test_own_errors_stay(monkeypatch):
    monkeypatch.setattr(watch, "_answers", lambda self, other: True)
    with pytest.raises(tf.errors.ResourceExhaustedError), watch(TWO):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
    with pytest.raises(tf.errors.UnavailableError), watch(Hosts()):
        raise tf.errors.UnavailableError(None, None, "one host has no other to lose")


def test_step_that_waits_for_ever_is_ended(monkeypatch, capsys):
    """The main thread stays inside of TensorFlow: the watching thread ends the process."""
    codes = []

    def end(code):
        codes.append(code)
        watching.stop.set()

    answers = {1: iter([True, False, True]), 2: iter([True] * 100)}
    monkeypatch.setattr(agreement, "_ASK", 0.01)
    monkeypatch.setattr(agreement, "_PATIENCE", 0.05)
    monkeypatch.setattr(agreement, "os", types.SimpleNamespace(_exit=end))
    monkeypatch.setattr(watch, "_answers", lambda self, other: next(answers[other], False))
    with watch(Hosts(0, ("a:1", "b:2", "c:3"))) as watching:
        watching.thread.join(20)
    assert codes == [3] and next(answers[2]) is True
    assert capsys.readouterr().err.startswith("Host 1 (b:2) of 3 was lost")


def test_late_answers_are_forgiven(monkeypatch):
    monkeypatch.setattr(agreement, "_ASK", 0.001)
    monkeypatch.setattr(agreement, "_PATIENCE", 0.0025)
    asked = []

    def answers(self, other):
        asked.append(other)
        return len(asked) % 3 == 0  # two silences in a row are not enough

    monkeypatch.setattr(watch, "_answers", answers)
    monkeypatch.setattr(agreement, "os", types.SimpleNamespace(_exit=pytest.fail))
    with watch(TWO) as watching:
        watching.thread.join(0.5)
    watching.thread.join()
    assert len(asked) > 5 and set(asked) == {1}
