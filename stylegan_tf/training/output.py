"""What a run leaves in its folder: log, curves, pictures, snapshots, checkpoints, results of metrics."""

import contextlib
import json
import os
import shlex

from dnnlib.files import atomic_file, check_can_create, check_room, free_bytes
from dnnlib.run_dir import RunLock, create_run_dir
from stylegan_tf.recipes.settings import to_dict
from stylegan_tf.training.checkpoint import checkpoints, save_checkpoint
from stylegan_tf.training.disk import disk_use, remove_old_snapshots, size
from stylegan_tf.training.evaluation import Evaluation
from stylegan_tf.training.grid import ImageGrid
from stylegan_tf.training.reporting import Reporter, tick_line
from stylegan_tf.training.snapshot import save_snapshot
from stylegan_tf.training.tracking import WandB


@contextlib.contextmanager
def open_output(chief, outdir, run_dir, config, data, models, metrics, progress, wandb=None, lock=None):
    """Yields the `RunOutput` of a run on the chief, and `NoOutput` on other hosts.

    Args:
        chief: Whether this host is the one that writes.
        outdir: Where a new run gets its folder.
        run_dir: Folder of a run that is resumed, None for a new one.
        config, data, models, metrics: See `RunOutput`.
        progress: Progress.
        wandb: Project of Weights & Biases that gets numbers and pictures as well, or None.
        lock: RunLock of a run that is resumed.
    """
    if not chief:
        yield NoOutput()
        return
    new = run_dir is None
    disk = disk_use(config, data.num_channels, data.label_size)
    if new:
        check_can_create(outdir)
        check_room(outdir, disk.first_bytes)
        run_dir = create_run_dir(outdir, describe(config))
    with (
        lock or RunLock(run_dir) as lock,
        Reporter(run_dir, config.total_kimg, progress.images_seen / 1000) as reporter,
    ):
        with atomic_file(run_dir / "config.json", durable=True) as temporary:
            temporary.write_text(json.dumps(to_dict(config), indent=2) + "\n")
        if lock.remark:
            reporter.line(lock.remark)
        if wandb:
            reporter.tracker = WandB(wandb, run_dir, to_dict(config), reporter.line)
        yield RunOutput(run_dir, new, config, data, models, metrics, reporter, disk)


class RunOutput:
    """Writes what a run leaves in its folder.

    Args:
        run_dir: Folder of the run.
        new: Whether it is a new one.
        config: TrainingConfig with a known resolution.
        data: MultiResolutionDataset.
        models: Models.
        metrics: {name: function(generator, dataset) -> {result: number}}, those of the run.
        reporter: Reporter.
        disk: DiskUse.
    """

    def __init__(self, run_dir, new, config, data, models, metrics, reporter, disk):
        self.run_dir = run_dir
        self.new = new
        self.config = config
        self.data = data
        self.models = models
        self.reporter = reporter
        self.evaluation = Evaluation(run_dir, metrics)
        self.grid = ImageGrid(data, config, models.Gs.latent_size)
        self.disk = disk
        self.overdue = False  # whether the disk was full when a snapshot was due

    def start(self, remarks, progress):
        """Says what is trained, and shows what a new run shows before its first step."""
        for remark in remarks:
            self.reporter.line(remark)
        if not self.new:
            self.reporter.line(f"Resuming {self.run_dir} at {progress.images_seen / 1000:.1f} kimg.")
            return
        self.reporter.line(f"{self.run_dir}: {self.data.num_images} images of {self.data.name}.")
        self.reporter.line(f"It will write {self.disk}.")
        if self.disk.total_bytes > (free := free_bytes(self.run_dir)):
            self.reporter.line(f"The disk has {size(free)} left, which is not enough for all of that.")
        self.reporter.grid("reals", self.grid.reals(), self.grid.columns, 0, self.data.aspect)
        self.save_picture(self.config.phase(0), progress)

    def report(self, phase, progress, values, timing, times, scales):
        """Prints the line of a tick and writes its curves; see `tick_line` for the arguments.

        `scales` are the loss scales of fp16, {name: number}.
        """
        settings = {name: getattr(phase, name) for name in ("lod", "fade", "minibatch", "G_lrate", "D_lrate")}
        self.reporter.scalars({**values, **timing, **settings, **scales}, progress.images_seen)
        self.reporter.line(tick_line(progress, phase, values, timing, self.config.loss, times))

    def advance(self, phase, progress):
        """Moves the progress bar."""
        self.reporter.advance(min(progress.images_seen / 1000, self.config.total_kimg), phase)

    def try_to_save(self, phase, progress, variables):
        """Saves after a tick; a full disk is reported, and saving is tried again after the next."""
        self.overdue = self.overdue or progress.tick % self.config.snapshot_ticks == 0
        try:
            self.save(phase, progress, variables, self.overdue)
            self.overdue = False
        except OSError as error:
            self.reporter.line(
                f"Saving at {progress.images_seen / 1000:.1f} kimg failed: {error}. {self.what_is_left}; make room, it "
                "is tried again at the next tick."
            )

    def save(self, phase, progress, variables, snapshot):
        """Writes a picture and a checkpoint, which are all that resuming needs, and, if it is due, a snapshot.

        A snapshot is measured if that is due as well; then old ones are removed.
        """
        self.save_picture(phase, progress)
        if snapshot:
            path = save_snapshot(self.run_dir, self.models, progress, phase, self.config)
        self.save_checkpoint(progress, variables)
        if snapshot:
            self.measure(path, progress)
            remove_old_snapshots(self.run_dir, path, self.disk.keep)

    def save_picture(self, phase, progress):
        """Saves the fixed latents' images of Gs at the current resolution, enlarged to the full one."""
        images = self.grid.fakes(self.models.Gs, phase.resolution, phase.fade)
        name = f"fakes{progress.images_seen // 1000:06d}"
        self.reporter.grid(name, images, self.grid.columns, progress.images_seen, self.data.aspect)

    def save_checkpoint(self, progress, variables):
        """Writes a checkpoint, and removes old ones; returns its path."""
        config = self.config
        return save_checkpoint(self.run_dir, variables, progress, config.keep_checkpoints, config.checkpoint_hours)

    def measure(self, snapshot, progress):
        """Measures a snapshot with the metrics of the run, if its tick is one of those that are measured."""
        config = self.config
        last = progress.images_seen >= config.total_kimg * 1000
        if not self.evaluation.metrics or (progress.tick % config.metric_ticks and not last):
            return
        results, lines = self.evaluation.measure(snapshot, self.models.Gs, self.data, progress.images_seen / 1000)
        self.reporter.scalars(results, progress.images_seen)
        for line in lines:
            self.reporter.line(line)

    def interrupt(self, reason, progress, variables):
        """Writes a checkpoint before the run's end, and says how to go on."""
        with self.saving_at_the_end(progress):
            path = self.save_checkpoint(progress, variables)
        self.reporter.line(f"Stopped by {reason} at {progress.images_seen / 1000:.1f} kimg; wrote {path}.")
        self.reporter.line(f"Resume with: python run_training.py {self.how_to_resume}")

    @property
    def how_to_resume(self):
        """The option, to be pasted into a shell."""
        return shlex.quote(f"--resume={self.run_dir}")

    @property
    def what_is_left(self):
        """What a run has that was saved before."""
        return "Older checkpoints are intact" if checkpoints(self.run_dir) else "There is no older checkpoint"

    @property
    def how_to_go_on(self):
        """What to do with a run that could not be saved."""
        return f"go on with {self.how_to_resume}" if checkpoints(self.run_dir) else "start a new run"

    def nothing_to_do(self):
        """Says that the run was finished before."""
        self.reporter.line(f"Nothing to do: {self.run_dir} has reached {self.config.total_kimg} kimg.")

    def finish(self, phase, progress, variables):
        """Leaves the finished run in a state to look at, or to train further."""
        with self.saving_at_the_end(progress):
            self.save(phase, progress, variables, snapshot=True)
        self.reporter.line(f"Finished. Pictures and networks are in {self.run_dir}.")

    @contextlib.contextmanager
    def saving_at_the_end(self, progress):
        """Says how to go on where the run cannot be saved at its end."""
        try:
            yield
        except OSError as error:
            raise OSError(
                f"{self.run_dir} cannot be saved at {progress.images_seen / 1000:.1f} kimg: {error}. "
                f"{self.what_is_left}; make room and {self.how_to_go_on}."
            ) from error


class NoOutput:
    """The `RunOutput` of hosts that write nothing: all but the chief."""

    run_dir = None

    def ignore(self, *arguments):
        pass

    start = report = advance = try_to_save = interrupt = finish = nothing_to_do = ignore


def describe(config):
    """The name of a run: ffhq-f-8gpu, or ffhq-f-2x8gpu on two hosts."""
    dataset = os.fsencode(config.dataset)[:150].decode(errors="ignore")  # file systems take 255 bytes
    devices = f"{config.num_gpus}gpu" if config.num_gpus else "cpu"
    if config.num_hosts > 1:
        devices = f"{config.num_hosts}x{devices}"
    return f"{dataset}-{config.config}-{devices}"
