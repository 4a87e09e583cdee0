"""The GPUs of one machine or of several, as one tf.distribute strategy, and the minibatches that they get."""

import contextlib
import signal

import tensorflow as tf


def count_gpus():
    """Number of GPUs that TensorFlow can use."""
    return len(tf.config.list_physical_devices("GPU"))


def make_strategy(num_gpus, hosts):
    """Returns the strategy of a run, and hides the other GPUs: TensorFlow would take memory of all that it sees.

    Call it before any other operation of TensorFlow's: GPUs that this process has already opened stay open.

    Several hosts wait here until all of them have started, in which time Ctrl-C ends them, but SIGTERM does not.

    Args:
        num_gpus: GPUs to use on each host, the first ones; 0 for the CPU.
        hosts: Hosts.

    Returns:
        MirroredStrategy on one host, MultiWorkerMirroredStrategy on several; replica r of host h has the number
        h * max(num_gpus, 1) + r.

    Raises:
        ValueError: There are not as many GPUs, or the hosts do not come together.
    """
    available = tf.config.list_physical_devices("GPU")
    if num_gpus > len(available):
        raise ValueError(f"--num-gpus={num_gpus} is more than the {len(available)} GPUs that TensorFlow finds here.")
    _hide_gpus_after(num_gpus, available)
    if hosts.count == 1:
        return tf.distribute.MirroredStrategy([f"/gpu:{i}" for i in range(num_gpus)] or ["/cpu:0"])
    print(f"Host {hosts.index} of {hosts.count} waits for the others: {', '.join(hosts.addresses)}.", flush=True)
    cluster = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(hosts.addresses)}),
        task_type="worker",
        task_id=hosts.index,
        num_accelerators={"GPU": num_gpus} if num_gpus else {},
        rpc_layer="grpc",
    )
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # TensorFlow waits without letting Python handle it
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster)
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise ValueError(
            f"Host {hosts.index} cannot join {', '.join(hosts.addresses)}: {reason}; see that these addresses are this "
            "run's own and can be reached, and start all hosts again."
        ) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # TensorFlow has put in its own for SIGTERM, which ends nothing


def use_threads(count):
    """Lets TensorFlow divide each operation of the CPU among so many threads; 0: as many as there are cores.

    It changes the speed alone, so that in a process where TensorFlow already runs, with its threads, they stay.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != count:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(count)


def _hide_gpus_after(num_gpus, available):
    """Leaves the first GPUs to TensorFlow; ValueError if it already runs with fewer."""
    try:
        tf.config.set_visible_devices(available[:num_gpus], "GPU")
        for gpu in available[:num_gpus]:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # it already runs
        opened = len(tf.config.list_logical_devices("GPU"))
        if opened < num_gpus:
            raise ValueError(
                f"--num-gpus={num_gpus} is more than the {opened} GPUs that TensorFlow has already opened in this "
                "process; start a new one."
            ) from None


def host_stream(strategy, hosts, num_gpus, pipeline):
    """Returns an iterator over the minibatches of this host's replicas, on their GPUs ahead of time.

    Each replica takes a contiguous part of the host's share in the order of replicas, so that all of them together get
    what as many replicas on one host would get.

    Args:
        strategy, hosts, num_gpus: See `make_strategy`.
        pipeline: tf.data.Dataset of this host's share of each minibatch, (images, labels), without end: that of
            `training_pipeline(..., worker=hosts.index, num_workers=hosts.count)`.

    Returns:
        Iterator over (images, labels): tensors where the host has one replica, else per-replica values.
    """
    if num_gpus == 0:
        return iter(pipeline)  # there is nothing to copy ahead
    replicas = strategy.num_replicas_in_sync // hosts.count

    def parts(images, labels):
        size = images.shape[0] // replicas

        def part(replica):
            return tuple(values[replica * size :][:size] for values in (images, labels))

        return tf.data.Dataset.range(replicas).map(part)

    def parts_of_stream(_):
        # Told that there is no end, TensorFlow does not ask all hosts before each minibatch whether they have one.
        return pipeline.flat_map(parts).apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return iter(strategy.distribute_datasets_from_function(parts_of_stream))
