"""A run's curves and pictures on Weights & Biases, for those who have it."""

import json
from pathlib import Path

from dnnlib.files import atomic_file


class WandB:
    """One run on Weights & Biases; when the service fails, the training goes on.

    The id is kept in RUN/wandb.json, so that a resumed run continues its curves. A run that has one goes on without the
    service if that cannot be reached; only a new one is refused then.

    Args:
        project: Name of the project.
        run_dir: Folder of the run, whose name the run gets.
        config: Nested dict of the run's settings.
        report: Called with one line, the first time that the service fails.

    Raises:
        ValueError: The package is missing, or a new run cannot be opened.
    """

    def __init__(self, project, run_dir, config, report):
        try:
            import wandb  # noqa: PLC0415
        except ImportError:
            raise ValueError("--wandb needs a package that is not installed: pip install wandb") from None
        self.wandb, self.report, self.failed, self.run = wandb, report, False, None
        path = Path(run_dir) / "wandb.json"
        run_id = read_id(path)
        try:
            self.open(project, Path(run_dir), config, run_id)
        except Exception as error:
            if run_id is None:
                raise ValueError(
                    f"Weights & Biases cannot be used, start without --wandb or mend it: {error}"
                ) from error
            self.report_failure(error)
        else:
            with atomic_file(path) as temporary:
                temporary.write_text(json.dumps({"id": self.run.id, "project": project}) + "\n")

    def open(self, project, run_dir, config, run_id):
        """Opens a new run, or goes on with the one of that id."""
        self.run = self.wandb.init(
            project=project, name=run_dir.name, dir=str(run_dir), config=config, id=run_id, resume="allow"
        )
        # An axis of our own, as the service's steps only grow, and a run that lost a machine repeats some.
        self.run.define_metric("*", step_metric="images_seen")

    def scalars(self, values, images_seen):
        """Logs {name: number}, counted in images."""
        self.attempt(lambda: self.run.log({**values, "images_seen": images_seen}))

    def image(self, name, path, images_seen):
        """Logs the picture file at `path`."""
        self.attempt(lambda: self.run.log({name: self.wandb.Image(str(path)), "images_seen": images_seen}))

    def finish(self):
        """Sends what is left, and closes the run."""
        self.attempt(lambda: self.run.finish())

    def attempt(self, action):
        """Runs an action if the run is open, and reports the first failure."""
        if self.run is None:
            return
        try:
            action()
        except Exception as error:  # whatever it is, the training is worth more
            self.report_failure(error)

    def report_failure(self, error):
        if not self.failed:
            self.report(f"Weights & Biases failed with {type(error).__name__}: {error}; the run goes on.")
        self.failed = True


def read_id(path):
    """The id in wandb.json, None if there is none."""
    try:
        return json.loads(path.read_text())["id"]
    except (OSError, KeyError, TypeError, ValueError):
        return None
