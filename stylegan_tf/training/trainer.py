"""The training loop: minibatch, tick, save, until it is done."""

import gc
import math
from contextlib import ExitStack
from dataclasses import replace

import tensorflow as tf

from datasets.errors import DatasetError
from datasets.pipeline import shuffle_window
from dnnlib.run_dir import RunLock
from stylegan_tf.recipes.settings import to_dict
from stylegan_tf.runtime.agreement import agree, check_alike, watch
from stylegan_tf.runtime.devices import make_strategy, use_threads
from stylegan_tf.runtime.draws import HOST
from stylegan_tf.runtime.hosts import find_hosts
from stylegan_tf.runtime.precision import use_precision
from stylegan_tf.runtime.processor import remark_on_precision
from stylegan_tf.training.average import half_life_beta
from stylegan_tf.training.checkpoint import Progress, load_newest
from stylegan_tf.training.checks import (
    check_augmentation,
    check_generator,
    check_labels,
    check_levels,
    check_metric_ticks,
    check_minibatches,
    check_settings,
    suggest_augmentation,
)
from stylegan_tf.training.diagnosis import DivergedError, advice, diagnose
from stylegan_tf.training.effects import check_profile
from stylegan_tf.training.initialize import initialize
from stylegan_tf.training.output import open_output
from stylegan_tf.training.parts import due_parts, parts_of, times_due
from stylegan_tf.training.preparation import build_models, check_backend, open_data
from stylegan_tf.training.reporting import Profile, Stopwatch, timing_of
from stylegan_tf.training.steps import TrainingStep, statistics_of, tick_values
from stylegan_tf.training.stopping import StopSignals
from stylegan_tf.training.stream import RealImages

# A run is not finished if so many updates at its end, or all that there were, were skipped. Loss scaling skips one at a
# time.
LAST_UPDATES = 3


class Trainer:
    """One run, ready to start: data opened, devices found, networks built.

    Args:
        config: TrainingConfig; its `resolution` may be None for the data set's.
        run_dir: Folder of a run to resume, or None for a new one.
        metrics: {name: function(generator, dataset) -> {result: float}}, from which `config.metrics` chooses.
        profile: (first step, number of steps) to profile for TensorBoard, counted from the start of this process.
        wandb: Project of Weights & Biases that gets the numbers and pictures as well, or None.
        remarks: Lines that the run begins with, besides its own.

    Raises:
        ValueError, OSError: Something that the user can mend, in one sentence; nothing has been written then.
    """

    def __init__(self, config, run_dir=None, metrics=None, profile=None, wandb=None, remarks=()):
        metrics = metrics or {}
        check_backend()
        check_settings(config, metrics)
        self.hosts = find_hosts()
        use_threads(config.threads_per_operation)
        self.strategy = make_strategy(config.num_gpus, self.hosts)
        use_precision(config.precision)
        with watch(self.hosts), ExitStack() as until_ready:
            check_alike(self.strategy, self.hosts, {"the configuration": to_dict(config)})
            self.data = open_data(config, self.strategy, self.hosts)
            self.config = config = replace(config, resolution=self.data.resolution)
            check_labels(config, self.data)
            config.phase(0)  # refuses an impossible schedule
            shuffle_window(self.data, config.shuffle_megabytes)  # refuses one that holds no image
            self.models = build_models(config, self.strategy, self.data)
            check_generator(config, self.models.G)
            check_augmentation(config, self.data.num_channels)
            self.remarks = [
                *remarks,
                *check_minibatches(config, self.models.D.mbstd_group_size),
                *check_metric_ticks(config),
                *filter(None, [remark_on_precision(config.precision, config.num_gpus)]),
            ]
            self.parts = parts_of(config)
            self.totals = tf.Variable(tf.zeros(len(statistics_of(self.parts))), trainable=False)  # of this tick's steps
            self.progress = Progress()
            self.run_dir = run_dir
            self.lock = None
            if run_dir is not None:
                # Before the checkpoint is chosen, as another process may be writing the next one.
                self.lock = until_ready.enter_context(RunLock(run_dir)) if self.hosts.chief else None
                self.progress, used, damaged = load_newest(run_dir, self.variables())
                self.remarks += [f"{path} is damaged ({reason}); going on from {used}." for path, reason in damaged]
            else:
                if config.init_from:
                    self.remarks += initialize(self.models, config.init_from)
                self.remarks += suggest_augmentation(config, self.data.num_images)
            check_levels(config, self.data, self.progress.images_seen)
            check_profile(config, profile, self.progress.images_seen)
            found = {"the number of images": self.data.num_images, "the images seen": self.progress.images_seen}
            check_alike(self.strategy, self.hosts, found)
            until_ready.pop_all()  # from here on, the run keeps its lock to its end
        self.metrics = {name: metrics[name] for name in config.metrics}
        self.profile = Profile(profile)
        self.wandb = wandb
        self.reals = RealImages(self.data, config, self.strategy, self.hosts)
        self.stop = StopSignals(self.strategy, self.hosts)
        self.stopwatch = Stopwatch()
        self.step = None  # TrainingStep of the present level
        self.latest = ()  # what it was called with last

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
        contents = self.config, self.data, self.models, self.metrics, self.progress, self.wandb, self.lock
        with (
            self.stop,
            watch(self.hosts),
            open_output(self.hosts.chief, outdir, self.run_dir, *contents) as output,
        ):
            self.run_dir = output.run_dir
            output.start(self.remarks, self.progress)
            self.train(output)
            if self.hosts.count > 1:
                agree(self.strategy, 0)  # nobody leaves while the chief still writes
        return self.run_dir

    def train(self, output):
        """The loop."""
        progress, first_image, first_step = self.progress, self.progress.images_seen, self.progress.steps
        self.stopwatch.lap()
        try:
            while not self.done() and not self.stop.must_stop():
                phase = self.train_minibatch(output)
                output.advance(phase, progress)
                if progress.images_seen >= progress.tick_images + phase.tick_kimg * 1000:
                    self.tick(phase, output)
                    if not self.done():
                        output.try_to_save(phase, progress, self.variables())
        except DatasetError:
            if progress.images_seen > first_image:
                self.interrupt("an image that cannot be read", output)
            raise
        finally:
            self.profile.stop()
        if self.stop.received and not self.done():
            self.interrupt(self.stop.received, output)
        elif progress.images_seen > first_image:
            self.check_finite(min(LAST_UPDATES, progress.steps - first_step))
            self.finish(output)
        else:
            output.nothing_to_do()

    def done(self):
        """Whether the run has seen all its images."""
        return self.progress.images_seen >= self.config.total_kimg * 1000

    def train_minibatch(self, output):
        """One step; returns the phase of the schedule in which it was."""
        progress, config = self.progress, self.config
        if progress.repeat == 0:
            self.check_finite(config.nonfinite_limit)
            progress.schedule_images = progress.images_seen
        phase = config.phase(progress.schedule_images)
        self.enter(phase)
        images, labels = self.reals.next(phase, progress)
        fade, G_lrate, D_lrate = (tf.constant(v, tf.float32) for v in (phase.fade, phase.G_lrate, phase.D_lrate))
        beta = tf.constant(half_life_beta(phase.minibatch, config.average_half_life_kimg), tf.float32)
        with tf.device(HOST):
            images_seen = tf.constant(progress.images_seen, tf.int64)
        due = due_parts(self.parts, progress.steps)
        self.profile.step(output.run_dir)
        self.totals.assign_add(self.step(images, labels, images_seen, fade, G_lrate, D_lrate, beta, due))
        self.latest = images, labels, images_seen, fade, due
        progress.steps += 1
        progress.minibatches += 1
        progress.images_seen += phase.minibatch
        progress.repeat = (progress.repeat + 1) % config.minibatch_repeats
        return phase

    def enter(self, phase):
        """Prepares what a new level needs: optimizers that have forgotten the last one, and a step of its own."""
        progress = self.progress
        if progress.lod is None or levels(phase.lod) != levels(progress.lod):
            self.models.G_optimizer.reset()
            self.models.D_optimizer.reset()
        progress.lod = phase.lod
        level = phase.resolution, phase.fade != 1.0
        if self.step is None or level != (self.step.level.resolution, self.step.level.fading):
            self.step, self.latest = None, ()
            free_garbage()
            labels = tf.constant(self.data.labels)
            self.step = TrainingStep(self.models, self.config, self.strategy, *level, labels)

    def check_finite(self, limit):
        """Raises DivergedError when the last `limit` updates of a network, or more, were skipped."""
        for name, variable in self.models.skipped.items():
            skipped = int(variable.numpy())
            if skipped >= limit:
                resolution = self.step.level.resolution
                raise DivergedError(
                    f"Training has diverged at {self.progress.images_seen / 1000:.1f} kimg: the last {skipped} updates "
                    f"of {name} were not finite and were skipped. In the last step, the first tensor that is not "
                    f"finite is {diagnose(self.step, *self.latest)}. {advice(self.config, name, resolution)}"
                )

    def tick(self, phase, output):
        """Reports the time since the last tick and begins the next."""
        self.report(phase, output)
        progress = self.progress
        progress.tick, progress.minibatches = progress.tick + 1, 0
        progress.tick_images, progress.tick_seconds = progress.images_seen, progress.seconds
        self.totals.assign(tf.zeros_like(self.totals))
        self.reals.waited = 0.0

    def report(self, phase, output):
        """Prints one line and writes the curves of the time since the last tick."""
        progress = self.progress
        progress.seconds += self.stopwatch.lap()
        times = times_due(self.parts, progress.steps - progress.minibatches, progress.steps)
        values = tick_values(self.totals.numpy(), self.parts, times)
        if self.models.ada:
            values["ada/p"] = float(self.models.ada.p.numpy())
        scales = {f"{name}_scale": float(s.value.numpy()) for name, s in self.models.scales().items()}
        output.report(phase, progress, values, timing_of(progress, self.reals.waited), times, scales)

    def interrupt(self, reason, output):
        """Leaves the run before its end in a state to resume from."""
        self.progress.seconds += self.stopwatch.lap()
        output.interrupt(reason, self.progress, self.variables())

    def finish(self, output):
        """Leaves the finished run in a state to look at, or to train further."""
        phase = self.config.phase(self.progress.schedule_images)
        if self.progress.minibatches:
            # No tick: a run that is continued has its ticks where an unbroken one would have them.
            self.report(phase, output)
        output.finish(phase, self.progress, self.variables())


def free_garbage():
    """Frees the traced step of a level that has been left. Its functions have finalizers: one pass is not enough."""
    passes = 10
    while passes and gc.collect():
        passes -= 1


def levels(lod):
    """What decides whether a level has entered or left fading: floor and ceiling of the lod."""
    return math.floor(lod), math.ceil(lod)
