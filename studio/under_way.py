"""Pictures that are on their way into a network while their owner looks on."""

import base64
import threading
import traceback

import numpy as np

from datasets.errors import DatasetError
from datasets.targets import fitting_picture
from metrics.projection_distances import choose, open_distance
from studio.engine import Dropped
from studio.jobs import FAILED, Jobs
from studio.saving import FAST, encode
from stylegan_tf.editing.projected import Projected
from stylegan_tf.editing.projection import Projection, Schedule, sampled_labels, sampled_statistics
from stylegan_tf.images import to_uint8_rounded
from stylegan_tf.pictures.gallery import HASH

MOST_AT_ONCE, MOST_STEPS = 4, 2000
# Pictures of a user that are kept in a network; then the oldest is forgotten.
MOST_KEPT = 64
# Steps between two live views.
_VIEW_EVERY = 5
# Seconds between two looks at what others are waiting for, and those that threads have to end.
_LOOK_EVERY, _PATIENCE = 0.2, 10


class Projections:
    """The projections of all users, a thread each; steps are the engine's work, so that others are served in between.

    What a network's first projection needs, such as classifiers that must be trained, is opened in its own thread,
    while the engine goes on drawing.

    Args:
        engine: Engine.
        options: `metrics.options.Options`: where classifiers and LPIPS are.
        dataset, data_dir, distance: See `metrics.projection_distances.choose`.
    """

    def __init__(self, engine, options, dataset=None, data_dir=None, distance=None):
        self.options = options
        self.dataset, self.data_dir, self.distance = dataset, data_dir, distance
        self.jobs = Jobs(engine, MOST_AT_ONCE, "pictures are being projected")
        self._opening, self._waited_for = threading.Lock(), {}  # one at a time; what is told of it
        self._opened = {}  # {the `Opened` that was projected into last: (distance, statistics of w)}
        self._threads = set()

    def start(self, opened, content, steps, space, user, report):
        """Begins to project a picture.

        Args:
            opened: `opened.Opened`.
            content: Bytes of a picture file.
            steps, space: See `projection.Projection`.
            user: Who asks; see `Jobs.forget`.
            report: Function of a dictionary for JSON: where it is, from another thread.

        Returns:
            The picture's id.

        Raises:
            ValueError: It is no picture that the network could make, or too many are under way.
        """
        try:
            picture = fitting_picture(content, opened.sampler.generator, crop=True, background="white")
        except DatasetError as error:
            raise ValueError(f"Your picture cannot be used: {error}") from None
        job = self.jobs.begin(user)

        def tell(**told):
            report({"picture": job.name} | told)

        thread = threading.Thread(target=self._run, args=(job, opened, picture, steps, space, tell), daemon=True)
        self._threads.add(thread)
        thread.start()
        return job.name

    def close(self):
        """Ends all of them, and waits for that; the engine must have ended."""
        self.jobs.close()
        for thread in list(self._threads):
            thread.join(_PATIENCE)

    def _run(self, job, opened, picture, steps, space, tell):
        try:
            self._project(job, opened, picture, steps, space, tell)
        except Dropped:
            tell(error="It was stopped before its first step; nothing was found.")
        except (OSError, ValueError) as error:
            tell(error=str(error))
        except Exception:
            traceback.print_exc()
            tell(error=FAILED)
        finally:
            self.jobs.finish(job)
            self._threads.discard(threading.current_thread())

    def _project(self, job, opened, picture, steps, space, tell):
        def ask(function):
            return self.jobs.ask(job, function)

        distance, statistics = self._open(job, opened, tell)
        tell(waiting="The first step")
        job.check()
        projection = ask(
            lambda: Projection(
                opened.sampler.generator, distance, np.array([picture]), statistics, Schedule(steps), space=space
            )
        )
        while not projection.is_done and not job.ended.is_set():
            found = ask(projection.step)
            done = projection.steps_done
            if done % _VIEW_EVERY == 0 or projection.is_done:
                image = ask(lambda: _png(projection, opened))
                shown = {"step": done, "of": steps, "distance": float(found.distance[0]), "image": image}
                tell(by=distance.name, **shown)
        while len(opened.pictures) >= MOST_KEPT:
            opened.pictures.pop(next(iter(opened.pictures)))
        facts = {HASH: opened.sampler.network_hash}
        opened.pictures[job.name] = Projected([job.name], projection.dlatents, projection.noise, [facts])
        tell(done=True, step=projection.steps_done, of=steps)

    def _open(self, job, opened, tell):
        """(distance, statistics of w) of a network, which are opened once; tells what is being waited for."""

        def report(what, share=None):
            job.check()
            now = {"waiting": what} if share is None else {"waiting": what, "share": round(share, 2)}
            if now != self._waited_for:
                self._waited_for = now
                tell(**now)

        told = {}
        while not self._opening.acquire(timeout=_LOOK_EVERY):  # another does it already
            job.check()
            if (now := self._waited_for) and now != told:
                told = now
                tell(**now)
        try:
            if opened not in self._opened:
                sampler = opened.sampler
                dataset, data_dir, distance = choose(opened.target, self.distance, self.dataset, self.data_dir)
                found = open_distance(sampler.generator, distance, dataset, data_dir, self.options, report)
                report("Looking at the network")
                self._opened = {opened: (found, sampled_statistics(sampler, sampled_labels(sampler)))}
            return self._opened[opened]
        finally:
            self._waited_for = {}
            self._opening.release()


def _png(projection, opened):
    """The image as it stands, a PNG file in base64."""
    (image,) = opened.sampler.pictures(to_uint8_rounded(projection.images()))
    return base64.b64encode(encode(image, **FAST)).decode()
