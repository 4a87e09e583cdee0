"""The training loop: schedule, steps, ticks, snapshots."""

import json
import math
import time
from dataclasses import replace

import keras
import tensorflow as tf

from datasets.errors import DatasetError
from datasets.opening import open_dataset
from datasets.pipeline import shuffle_window
from dnnlib.files import atomic_file
from dnnlib.run_dir import create_run_dir
from stylegan_tf.recipes.settings import to_dict
from stylegan_tf.runtime.agreement import agree, check_alike, watch
from stylegan_tf.runtime.devices import make_strategy
from stylegan_tf.runtime.hosts import find_hosts
from stylegan_tf.runtime.precision import use_precision
from stylegan_tf.training.average import half_life_beta
from stylegan_tf.training.checkpoint import Progress, load_newest, save_checkpoint
from stylegan_tf.training.checks import check_generator, check_minibatches, check_settings
from stylegan_tf.training.diagnosis import DivergedError, diagnose
from stylegan_tf.training.evaluation import Evaluation
from stylegan_tf.training.grid import ImageGrid
from stylegan_tf.training.initialize import initialize
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import due_parts, parts_of, times_due
from stylegan_tf.training.reporting import Profile, Reporter, Silence, peak_memory_gb, tick_line
from stylegan_tf.training.snapshot import save_snapshot
from stylegan_tf.training.steps import TrainingStep, statistics_of, tick_values
from stylegan_tf.training.stopping import StopSignals
from stylegan_tf.training.stream import RealImages
from stylegan_tf.training.tracking import WandB


class Trainer:
    """One run, ready to start: data opened, devices found, networks built.

    Args:
        config: TrainingConfig; its `resolution` may be None for the data set's.
        run_dir: Folder of a run to resume, or None for a new one.
        metrics: {name: function(generator, dataset) -> {result: float}}, from which `config.metrics` chooses.
        profile: (first step, number of steps) to profile for TensorBoard, counted from the start of this process.
        wandb: Project of Weights & Biases that gets the numbers and pictures as well, or None.

    Raises:
        ValueError, OSError: Something that the user can mend, in one sentence; nothing has been written then.
    """

    def __init__(self, config, run_dir=None, metrics=None, profile=None, wandb=None):
        metrics = metrics or {}
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Training needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}; "
                "set it to tensorflow."
            )
        check_settings(config, metrics)
        self.hosts = find_hosts()
        self.strategy = make_strategy(config.num_gpus, self.hosts)
        use_precision(config.precision)
        with watch(self.hosts):
            check_alike(self.strategy, self.hosts, {"the configuration": to_dict(config)})
            self.data = self.open_data(config)
            self.config = config = replace(config, resolution=self.data.resolution)
            config.phase(0)  # refuses an impossible schedule
            shuffle_window(self.data, config.shuffle_megabytes)  # refuses one that holds no image
            self.models = self.build_models()
            check_generator(config, self.models.G)
            self.remarks = check_minibatches(config, self.models.D.mbstd_group_size)
            self.parts = parts_of(config)
            self.totals = tf.Variable(
                tf.zeros(len(statistics_of(self.parts))), trainable=False
            )  # sums of the steps of this tick
            self.progress = Progress()
            self.run_dir = run_dir
            if run_dir is not None:
                self.progress, used, damaged = load_newest(run_dir, self.variables())
                self.remarks += [f"{path} is damaged ({reason}); going on from {used}." for path, reason in damaged]
            elif config.init_from:
                self.remarks += initialize(self.models, config.init_from)
            found = {"the number of images": self.data.num_images, "the images seen": self.progress.images_seen}
            check_alike(self.strategy, self.hosts, found)
        self.metrics = {name: metrics[name] for name in config.metrics}
        self.profile = Profile(profile)
        self.wandb = wandb
        self.steps = {}

    def open_data(self, config):
        """The data set; where it creates itself, the chief does so, and the other hosts wait for it."""
        several = self.hosts.count > 1
        if several and not self.hosts.chief:
            agree(self.strategy, 0)
        data = open_dataset(config.dataset, config.data_dir, config.resolution, config.max_label_size)
        if several and self.hosts.chief:
            agree(self.strategy, 0)
        return data

    def build_models(self):
        """Networks and optimizers, with the run's own random weights."""
        config = self.config
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(config.seed)
        try:
            with self.strategy.scope():
                return Models(config, self.data.num_channels, self.data.label_size)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(
                f"The networks cannot be built with generator={config.generator} and "
                f"discriminator={config.discriminator}: {error}"
            ) from error

    def variables(self):
        """{name: tf.Variable} of a checkpoint."""
        return {**self.models.variables(), "tick/totals": self.totals}

    def run(self, outdir):
        """Trains to the end, or until Ctrl-C or SIGTERM; returns the run's folder (None on hosts other than the chief).

        Args:
            outdir: Where a new run gets its folder.

        Raises:
            DatasetError, OSError: Images cannot be read, or results not be written; a checkpoint has been if possible.
            DivergedError: Updates are no longer finite.
            HostLost: Another host has died.
        """
        progress, total = self.progress, self.config.total_kimg * 1000
        first_image = progress.images_seen
        with StopSignals() as self.signals, watch(self.hosts), self.open_reporter(outdir) as self.reporter:
            self.start(first_image)
            try:
                while progress.images_seen < total and not self.must_stop():
                    self.train_minibatch()
            except DatasetError:
                if progress.images_seen > first_image:
                    self.interrupt("an image that cannot be read")
                raise
            finally:
                self.profile.stop()
            try:
                self.finish(trained=progress.images_seen > first_image)
            except OSError as error:
                raise OSError(
                    f"{self.run_dir} cannot be saved at {progress.images_seen / 1000:.1f} kimg: {error}. Its older "
                    f"checkpoints are intact; make room and go on with --resume={self.run_dir}."
                ) from error
            if self.hosts.count > 1:
                agree(self.strategy, 0)  # nobody leaves while the chief still writes
        return self.run_dir

    def open_reporter(self, outdir):
        """Makes the folder of a new run, on the chief, and opens its log."""
        self.resumed = self.run_dir is not None
        if not self.hosts.chief:
            return Silence()
        if not self.resumed:
            self.run_dir = create_run_dir(outdir, describe(self.config))
        with atomic_file(self.run_dir / "config.json", durable=True) as temporary:
            temporary.write_text(json.dumps(to_dict(self.config), indent=2) + "\n")
        self.evaluation = Evaluation(self.run_dir, self.metrics)
        reporter = Reporter(self.run_dir, self.config.total_kimg, self.progress.images_seen / 1000)
        if self.wandb:
            reporter.tracker = WandB(self.wandb, self.run_dir, to_dict(self.config), reporter.line)
        return reporter

    def start(self, images_seen):
        """Says what is trained, shows what a new run shows before its first step, and starts the clock."""
        for remark in self.remarks:
            self.reporter.line(remark)
        if self.hosts.chief:
            self.grid = ImageGrid(self.data, self.config, self.models.Gs.latent_size)
            if self.resumed:
                self.reporter.line(f"Resuming {self.run_dir} at {images_seen / 1000:.1f} kimg.")
            else:
                self.reporter.line(f"{self.run_dir}: {self.data.num_images} images of {self.data.name}.")
                self.reporter.grid("reals", self.grid.reals(), self.grid.columns, 0)
                self.fakes(self.config.phase(0))
        self.reals = RealImages(self.data, self.config, self.strategy, self.hosts)
        self.told = 0.0  # how many hosts had been told to stop at the last step
        self.unsaved = False  # whether the disk was full when something was due to be saved
        self.clock = time.perf_counter()

    def must_stop(self):
        """Whether this host has been told to stop or, where there are several, any of them had been a step ago."""
        if self.hosts.count > 1:
            # The sum is looked at one step later, so that nobody waits for it.
            told, self.told = self.told, agree(self.strategy, bool(self.signals.received))
            if told:
                self.signals.received = self.signals.received or "a signal to another host"
            return bool(told)
        return bool(self.signals.received)

    def train_minibatch(self):
        """One step of both networks, and what is due after it."""
        progress, config = self.progress, self.config
        if progress.repeat == 0:
            self.check_finite()
            progress.schedule_images = progress.images_seen
        phase = config.phase(progress.schedule_images)
        if progress.lod is None or levels(phase.lod) != levels(progress.lod):
            self.models.G_optimizer.reset()
            self.models.D_optimizer.reset()
        progress.lod = phase.lod
        images, labels = self.reals.next(phase, progress)
        fade, G_lrate, D_lrate = (tf.constant(v, tf.float32) for v in (phase.fade, phase.G_lrate, phase.D_lrate))
        beta = tf.constant(half_life_beta(phase.minibatch, config.average_half_life_kimg), tf.float32)
        images_seen = tf.constant(progress.images_seen, tf.int64)
        step = self.step_for(phase)
        self.profile.step(self.run_dir)
        due = due_parts(self.parts, progress.steps)
        self.totals.assign_add(step(images, labels, images_seen, fade, G_lrate, D_lrate, beta, due))
        self.latest = step, images, labels, images_seen, fade, due
        progress.steps += 1
        progress.minibatches += 1
        progress.images_seen += phase.minibatch
        progress.repeat = (progress.repeat + 1) % config.minibatch_repeats
        self.reporter.advance(min(progress.images_seen / 1000, config.total_kimg), phase)
        if progress.images_seen >= progress.tick_images + phase.tick_kimg * 1000:
            self.tick(phase)
            due = progress.tick % config.snapshot_ticks == 0 or self.unsaved
            if due and progress.images_seen < config.total_kimg * 1000:
                self.try_to_save(phase)

    def check_finite(self):
        """Raises DivergedError when too many updates of a network in a row were skipped."""
        for name, variable in self.models.skipped.items():
            skipped = int(variable.numpy())
            if skipped >= self.config.nonfinite_limit:
                raise DivergedError(
                    f"Training has diverged at {self.progress.images_seen / 1000:.1f} kimg: the last {skipped} updates "
                    f"of {name} were not finite and were skipped. In the last step, the first tensor that is not "
                    f"finite is {diagnose(*self.latest)}. Resume from an earlier checkpoint, or start again, with "
                    f"lower learning rates (--set schedule.{name}_lrate_base=...), a larger --gamma, or fp32."
                )

    def step_for(self, phase):
        """The compiled step of a phase; there is one for each (resolution, fading?)."""
        key = phase.resolution, phase.fade != 1.0
        if key not in self.steps:
            labels = tf.constant(self.data.labels)
            self.steps[key] = TrainingStep(self.models, self.config, self.strategy, *key, labels)
        return self.steps[key]

    def tick(self, phase):
        """Reports the time since the last tick and begins the next."""
        self.report(phase)
        progress = self.progress
        progress.tick, progress.minibatches = progress.tick + 1, 0
        progress.tick_images, progress.tick_seconds = progress.images_seen, progress.seconds
        self.totals.assign(tf.zeros_like(self.totals))
        self.reals.waited = 0.0

    def report(self, phase):
        """Prints one line and writes the scalars of the time since the last tick."""
        progress = self.progress
        times = times_due(self.parts, progress.steps - progress.minibatches, progress.steps)
        values = tick_values(self.totals.numpy(), self.parts, times)
        self.count_seconds()
        images, seconds = progress.images_seen - progress.tick_images, progress.seconds - progress.tick_seconds
        timing = {
            "seconds_per_kimg": seconds / images * 1000,
            "seconds_per_tick": seconds,
            "data_wait": self.reals.waited / seconds,
            "memory_gb": peak_memory_gb(),
        }
        settings = {n: getattr(phase, n) for n in ("lod", "fade", "minibatch", "G_lrate", "D_lrate")}
        scales = {f"{name}_scale": float(s.value.numpy()) for name, s in self.models.scales().items()}
        self.reporter.scalars({**values, **timing, **settings, **scales}, progress.images_seen)
        self.reporter.line(tick_line(progress, phase, values, timing, self.config.loss, times))

    def count_seconds(self):
        """Adds the time since it was last called."""
        now = time.perf_counter()
        self.progress.seconds += now - self.clock
        self.clock = now

    def try_to_save(self, phase):
        """Saves; a full disk is reported, and saving is tried again at the next tick."""
        try:
            self.save(phase)
            self.unsaved = False
        except OSError as error:
            self.unsaved = True
            self.reporter.line(
                f"Saving at {self.progress.images_seen / 1000:.1f} kimg failed: {error}. Older checkpoints are intact; "
                "make room, it is tried again at the next tick."
            )

    def save(self, phase):
        """Writes a picture, a snapshot of the networks, and a checkpoint; then measures the snapshot, if it is due."""
        if not self.hosts.chief:
            return
        progress, config = self.progress, self.config
        self.fakes(phase)
        snapshot = save_snapshot(self.run_dir, self.models, progress, phase, config)
        self.save_checkpoint()
        if self.metrics and (
            progress.tick % config.metric_ticks == 0 or progress.images_seen >= config.total_kimg * 1000
        ):
            results, lines = self.evaluation.measure(snapshot, self.models.Gs, self.data, progress.images_seen / 1000)
            self.reporter.scalars(results, progress.images_seen)
            for line in lines:
                self.reporter.line(line)

    def save_checkpoint(self):
        config = self.config
        return save_checkpoint(
            self.run_dir, self.variables(), self.progress, config.keep_checkpoints, config.checkpoint_hours
        )

    def fakes(self, phase):
        """Saves the fixed latents' images of Gs at the current resolution, enlarged to the full one."""
        name = f"fakes{self.progress.images_seen // 1000:06d}"
        images = self.grid.fakes(self.models.Gs, phase.resolution, phase.fade)
        self.reporter.grid(name, images, self.grid.columns, self.progress.images_seen)

    def interrupt(self, reason):
        """Writes a checkpoint before the run's end, and says how to go on."""
        self.count_seconds()
        if not self.hosts.chief:
            return
        path = self.save_checkpoint()
        self.reporter.line(f"Stopped by {reason} at {self.progress.images_seen / 1000:.1f} kimg; wrote {path}.")
        self.reporter.line(f"Resume with: python run_training.py --resume={self.run_dir}")

    def finish(self, trained):
        """Leaves the run in a state to look at, or to resume from, and says where."""
        progress = self.progress
        if self.signals.received and progress.images_seen < self.config.total_kimg * 1000:
            self.interrupt(self.signals.received)
        elif trained:
            phase = self.config.phase(progress.schedule_images)
            if progress.minibatches:
                # No tick: a run that is continued has its ticks where an unbroken one would have them.
                self.report(phase)
            self.save(phase)
            self.reporter.line(f"Finished. Pictures and networks are in {self.run_dir}.")
        else:
            self.reporter.line(f"Nothing to do: {self.run_dir} has reached {self.config.total_kimg} kimg.")


def levels(lod):
    """What decides whether a level has entered or left fading: floor and ceiling of the lod."""
    return math.floor(lod), math.ceil(lod)


def describe(config):
    """The name of a run: ffhq-f-8gpu, or ffhq-f-2x8gpu on two hosts."""
    devices = f"{config.num_gpus}gpu" if config.num_gpus else "cpu"
    if config.num_hosts > 1:
        devices = f"{config.num_hosts}x{devices}"
    return f"{config.dataset}-{config.config}-{devices}"
