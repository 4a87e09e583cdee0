"""The training loop: schedule, steps, ticks, snapshots; and everything that must be right before it starts."""

import inspect
import json
import math
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from datasets.errors import DatasetError
from datasets.opening import open_dataset
from datasets.pipeline import dataset_error, indices_of_items, shuffle_window, training_pipeline
from dnnlib.files import atomic_file, atomic_folder
from dnnlib.run_dir import create_run_dir
from stylegan_tf.configs import TrainingConfig, from_dict, to_dict
from stylegan_tf.images import from_uint8
from stylegan_tf.losses import BASE_LOSSES, GENERATOR_LOSSES
from stylegan_tf.networks import Discriminator, Generator
from stylegan_tf.training.average import half_life_beta
from stylegan_tf.training.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from stylegan_tf.training.draws import Purpose, normal, seed_of
from stylegan_tf.training.models import Models
from stylegan_tf.training.reporting import Reporter, format_time, generate_grid, grid_size, peak_memory_gb
from stylegan_tf.training.steps import STATISTICS, TrainingStep

# How many minibatches before a change of resolution its stream is opened: seconds, in which it reads ahead.
WARM_MINIBATCHES = 100


class Trainer:
    """One run, ready to start: data opened, devices found, networks built.

    Args:
        config: TrainingConfig; its `resolution` may be None for the data set's.
        run_dir: Folder of a run to resume, or None for a new one.

    Raises:
        ValueError, OSError: Something that the user can mend, in one sentence; nothing has been written then.
    """

    def __init__(self, config, run_dir=None):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Training needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}; "
                "set it to tensorflow."
            )
        check_names(config)
        self.strategy = make_strategy(config.num_gpus)
        self.data = open_dataset(config.dataset, config.data_dir, config.resolution, config.max_label_size)
        self.config = config = replace(config, resolution=self.data.resolution)
        config.phase(0)  # refuses an impossible schedule
        shuffle_window(self.data, config.shuffle_megabytes)  # refuses one that holds no image
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(config.seed)
        try:
            with self.strategy.scope():
                self.models = Models(config, self.data.num_channels, self.data.label_size)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(
                f"The networks cannot be built with generator={config.generator} and "
                f"discriminator={config.discriminator}: {error}"
            ) from error
        check_minibatches(config, self.models.D.mbstd_group_size)
        self.progress = Progress()
        self.totals = tf.Variable(tf.zeros(len(STATISTICS)), trainable=False)  # sums of the steps since the last tick
        self.run_dir = run_dir
        if run_dir is not None:
            self.progress = load_checkpoint(latest_checkpoint(run_dir), self.variables())
        self.steps = {}
        self.stop = None

    def variables(self):
        """{name: tf.Variable} of a checkpoint."""
        return {**self.models.variables(), "tick/totals": self.totals}

    def run(self, outdir):
        """Trains to the end, or until Ctrl-C or SIGTERM; returns the run's folder.

        Args:
            outdir: Where a new run gets its folder.
        """
        resumed = self.run_dir is not None
        if not resumed:
            self.run_dir = create_run_dir(outdir, describe(self.config))
        with atomic_file(self.run_dir / "config.json") as temporary:
            temporary.write_text(json.dumps(to_dict(self.config), indent=2) + "\n")
        progress, total = self.progress, self.config.total_kimg * 1000
        first_image = progress.images_seen
        with Reporter(self.run_dir, self.config.total_kimg, progress.images_seen / 1000) as self.reporter:
            self.prepare_grid()
            if resumed:
                self.reporter.line(f"Resuming {self.run_dir} at {progress.images_seen / 1000:.1f} kimg.")
            else:
                self.reporter.line(f"{self.run_dir}: {self.data.num_images} images of {self.data.name}.")
                self.start()
            with stop_signals(self):
                try:
                    while progress.images_seen < total and not self.stop:
                        self.train_minibatch()
                except DatasetError:
                    if progress.images_seen > first_image:
                        self.interrupt("an image that cannot be read")
                    raise
            self.finish(trained=progress.images_seen > first_image)
        return self.run_dir

    def start(self):
        """Puts down what a new run shows before its first step."""
        columns, rows = grid_size(self.config.resolution)
        indices_of = indices_of_items(self.data, self.config.seed, self.config.shuffle_megabytes)
        images = self.data.read_images(self.config.resolution, indices_of(np.arange(columns * rows)))
        self.reporter.grid("reals", from_uint8(images), columns, 0)
        self.fakes(self.config.phase(0))

    def prepare_grid(self):
        """Draws the fixed latents and labels of the run's image grids, and starts the clock."""
        columns, rows = grid_size(self.config.resolution)
        self.grid_z = normal([columns * rows, self.models.Gs.latent_size], seed_of(self.config.seed, Purpose.GRID))
        self.grid_labels = tf.constant(np.resize(self.data.labels, (columns * rows, self.data.label_size)))
        self.opened = self.batches = None
        self.warm = {}  # {(resolution, minibatch, first item): stream} that is opened ahead
        self.clock = time.perf_counter()

    def train_minibatch(self):
        """One step of both networks, and what is due after it."""
        progress, config = self.progress, self.config
        if progress.repeat == 0:
            progress.schedule_images = progress.images_seen
        phase = config.phase(progress.schedule_images)
        if progress.lod is None or levels(phase.lod) != levels(progress.lod):
            self.models.G_optimizer.reset()
            self.models.D_optimizer.reset()
        progress.lod = phase.lod
        images, labels = self.next_batch(phase)
        scalars = [phase.fade, phase.G_lrate, phase.D_lrate]
        statistics = self.step_for(phase)(
            images,
            labels,
            tf.constant(progress.images_seen, tf.int64),
            *(tf.constant(value, tf.float32) for value in scalars),
            tf.constant(half_life_beta(phase.minibatch, config.average_half_life_kimg), tf.float32),
        )
        self.totals.assign_add(statistics)
        progress.minibatches += 1
        progress.images_seen += phase.minibatch
        progress.repeat = (progress.repeat + 1) % config.minibatch_repeats
        self.reporter.advance(min(progress.images_seen / 1000, config.total_kimg), phase)
        if progress.images_seen >= progress.tick_images + phase.tick_kimg * 1000:
            self.tick(phase)
            if progress.tick % config.snapshot_ticks == 0 and progress.images_seen < config.total_kimg * 1000:
                self.save(phase)

    def step_for(self, phase):
        """The compiled step of a phase; there is one for each (resolution, fading?)."""
        key = phase.resolution, phase.fade != 1.0
        if key not in self.steps:
            labels = tf.constant(self.data.labels)
            self.steps[key] = TrainingStep(self.models, self.config, self.strategy, *key, labels)
        return self.steps[key]

    def next_batch(self, phase):
        """The next real images and labels of a phase; DatasetError if they cannot be read."""
        key, seen = stream_key(phase), self.progress.images_seen
        if key != self.opened:
            self.opened, self.batches = key, self.warm.get((*key, seen)) or self.open_stream(*key, seen)
            self.warm = {}
        soon = self.config.phase(seen + WARM_MINIBATCHES * phase.minibatch)
        if not self.warm and stream_key(soon) != key and (change := next_change(self.config, self.progress)):
            self.warm = {change: self.open_stream(*change)}
        return take(self.batches)

    def open_stream(self, resolution, minibatch, start):
        """An iterator over real images and labels, from the item `start` on; it begins to read at once."""
        config = self.config
        pipeline = training_pipeline(
            self.data, resolution, minibatch, config.seed, start, config.shuffle_megabytes, config.cache_megabytes
        )
        # On the CPU there is nothing to copy ahead, and the plain iterator does.
        return iter(self.strategy.experimental_distribute_dataset(pipeline) if config.num_gpus else pipeline)

    def tick(self, phase):
        """Reports the time since the last tick and begins the next."""
        self.report(phase)
        progress = self.progress
        progress.tick, progress.minibatches = progress.tick + 1, 0
        progress.tick_images, progress.tick_seconds = progress.images_seen, progress.seconds
        self.totals.assign(tf.zeros_like(self.totals))

    def report(self, phase):
        """Prints one line and writes the scalars of the time since the last tick."""
        progress = self.progress
        sums = dict(zip(STATISTICS, self.totals.numpy().tolist(), strict=True))
        values = {n: v if n.endswith("skipped") else v / progress.minibatches for n, v in sums.items()}
        self.count_seconds()
        images, seconds = progress.images_seen - progress.tick_images, progress.seconds - progress.tick_seconds
        timing = {"seconds_per_kimg": seconds / images * 1000, "memory_gb": peak_memory_gb()}
        settings = {n: getattr(phase, n) for n in ("lod", "fade", "minibatch", "G_lrate", "D_lrate")}
        self.reporter.scalars({**values, **timing, **settings}, progress.images_seen)
        penalty = "R1" if self.config.loss.discriminator == "logistic-simplegp" else "penalty"
        skipped = " ".join(f"  {n[0]} skipped {values[n]:.0f}" for n in ("D_skipped", "G_skipped") if values[n])
        self.reporter.line(
            f"tick {progress.tick + 1:<4d} kimg {progress.images_seen / 1000:<8.1f} lod {phase.lod:<5.2f} "
            f"minibatch {phase.minibatch:<4d} time {format_time(progress.seconds):<12s} "
            f"sec/kimg {timing['seconds_per_kimg']:<7.2f} memory {timing['memory_gb']:.1f} GB  "
            f"G {values['G_loss']:<6.3f} D {values['D_loss']:<6.3f} {penalty} {values['penalty']:.3f}{skipped}"
        )

    def count_seconds(self):
        """Adds the time since it was last called."""
        now = time.perf_counter()
        self.progress.seconds += now - self.clock
        self.clock = now

    def save(self, phase):
        """Writes a picture, a snapshot of the networks, and a checkpoint."""
        self.fakes(phase)
        kimg = self.progress.images_seen // 1000
        with atomic_folder(self.run_dir / f"network-snapshot-{kimg:06d}") as folder:
            for network in (self.models.G, self.models.D, self.models.Gs):
                network.save(folder / f"{network.name}.keras")
            state = {**asdict(self.progress), "resolution": phase.resolution, "fade": phase.fade}
            (folder / "training.json").write_text(json.dumps(state | {"config": to_dict(self.config)}, indent=2) + "\n")
        save_checkpoint(self.run_dir, self.variables(), self.progress)

    def fakes(self, phase):
        """Saves the fixed latents' images of Gs at the current resolution, enlarged to the full one."""
        images = generate_grid(self.models.Gs, self.grid_z, self.grid_labels, phase.resolution, phase.fade)
        columns, _ = grid_size(self.config.resolution)
        name = f"fakes{self.progress.images_seen // 1000:06d}"
        self.reporter.grid(name, images, columns, self.progress.images_seen)

    def interrupt(self, reason):
        """Writes a checkpoint before the run's end, and says how to go on."""
        self.count_seconds()
        path = save_checkpoint(self.run_dir, self.variables(), self.progress)
        self.reporter.line(f"Stopped by {reason} at {self.progress.images_seen / 1000:.1f} kimg; wrote {path}.")
        self.reporter.line(f"Resume with: python run_training.py --resume={self.run_dir}")

    def finish(self, trained):
        """Leaves the run in a state to look at, or to resume from, and says where."""
        progress = self.progress
        if self.stop:
            self.interrupt(self.stop)
        elif trained:
            phase = self.config.phase(progress.schedule_images)
            if progress.minibatches:
                # No tick: a run that is continued has its ticks where an unbroken one would have them.
                self.report(phase)
            self.save(phase)
            self.reporter.line(f"Finished. Pictures and networks are in {self.run_dir}.")
        else:
            self.reporter.line(f"Nothing to do: {self.run_dir} has reached {self.config.total_kimg} kimg.")


def take(stream):
    """The next images and labels of a stream; DatasetError if they cannot be read."""
    try:
        return next(stream)
    except tf.errors.OpError as error:
        raise dataset_error(error) or error from None


def stream_key(phase):
    """What decides which stream of real images a phase reads."""
    return phase.resolution, phase.minibatch


def next_change(config, progress):
    """Returns (resolution, minibatch, images seen) of the next change of stream, or None if the run ends before it."""
    images_seen, repeat = progress.images_seen, progress.repeat
    phase = current = config.phase(progress.schedule_images)
    while images_seen < config.total_kimg * 1000:
        if repeat == 0:
            phase = config.phase(images_seen)
            if stream_key(phase) != stream_key(current):
                return *stream_key(phase), images_seen
        images_seen += phase.minibatch
        repeat = (repeat + 1) % config.minibatch_repeats
    return None


def levels(lod):
    """What decides whether a level has entered or left fading: floor and ceiling of the lod."""
    return math.floor(lod), math.ceil(lod)


def describe(config):
    """The name of a run: ffhq-f-8gpu."""
    devices = f"{config.num_gpus}gpu" if config.num_gpus else "cpu"
    return "-".join(dict.fromkeys([config.dataset, config.config, devices]))


def count_gpus():
    """Number of GPUs that TensorFlow can use."""
    return len(tf.config.list_physical_devices("GPU"))


def make_strategy(num_gpus):
    """MirroredStrategy on the first GPUs, or on the CPU for 0; ValueError if there are not as many."""
    available = tf.config.list_physical_devices("GPU")
    if num_gpus > len(available):
        raise ValueError(f"--num-gpus={num_gpus} is more than the {len(available)} GPUs that TensorFlow finds here.")
    for gpu in available:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MirroredStrategy([f"/gpu:{i}" for i in range(num_gpus)] or ["/cpu:0"])


def check_names(config):
    """ValueError for a loss or a network's keyword that does not exist, or that the data set decides."""
    for name, known in (("generator", GENERATOR_LOSSES), ("discriminator", sorted(BASE_LOSSES))):
        if getattr(config.loss, name) not in known:
            received = getattr(config.loss, name)
            raise ValueError(f"loss.{name} must be one of {', '.join(known)}; received {received!r}.")
    for name, network in (("generator", Generator), ("discriminator", Discriminator)):
        keywords = inspect.signature(network).parameters.keys() - {"resolution", "num_channels", "label_size", "kwargs"}
        for unknown in getattr(config, name).keys() - keywords:
            raise ValueError(f"There is no setting {name}.{unknown}; there are: {', '.join(sorted(keywords))}.")


def check_minibatches(config, group_size):
    """ValueError unless every minibatch of the run divides into replicas and into minibatch-stddev groups."""
    schedule = config.schedule
    resolution = min(schedule.lod_initial_resolution, config.resolution)
    while resolution <= config.resolution:
        wanted = schedule.minibatch_dict.get(resolution, schedule.minibatch_base)
        minibatch = min(wanted, schedule.max_minibatch_per_gpu.get(resolution, wanted) * config.num_replicas)
        share, rest = divmod(minibatch, config.num_replicas)
        where = f"The minibatch of {minibatch} images at {resolution}x{resolution} cannot be divided"
        if rest or not share:
            raise ValueError(f"{where} among {config.num_replicas} replicas; choose a multiple with --minibatch.")
        if group_size > 1 and share % min(group_size, share):
            raise ValueError(
                f"{where} into groups of {group_size} for the minibatch standard deviation, with {share} on each "
                "replica; choose another with --minibatch."
            )
        resolution *= 2


def load_run_config(run_dir):
    """The TrainingConfig of a run; ValueError if its config.json is missing or damaged."""
    path = Path(run_dir) / "config.json"
    try:
        return from_dict(TrainingConfig, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable configuration of a run: {error}") from None


class stop_signals:
    """While it is active, Ctrl-C and SIGTERM ask a trainer to stop after its step; a second one is not held back."""

    def __init__(self, trainer):
        self.trainer = trainer

    def __enter__(self):
        self.previous = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(self, number, frame):
        self.trainer.stop = signal.Signals(number).name
        self.restore()

    def restore(self):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def __exit__(self, *exception):
        self.restore()
