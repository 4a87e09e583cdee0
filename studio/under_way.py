"""Pictures that are on their way into a network while their owner looks on."""

import base64
import secrets
import threading
import traceback

import numpy as np

from datasets.targets import fitting_picture
from metrics.projection_distances import choose, open_distance
from studio.engine import Dropped
from studio.saving import FAST, encode
from stylegan_tf.editing.projected import Projected
from stylegan_tf.editing.projection import Projection, Schedule, sampled_labels, sampled_statistics
from stylegan_tf.images import to_uint8_rounded
from stylegan_tf.pictures.gallery import HASH

MOST_AT_ONCE, MOST_STEPS = 4, 2000
FAILED = "It failed; see the server's messages."
# Pictures of a user that are kept in a network; then the oldest is forgotten.
MOST_KEPT = 64
# Steps between two live views.
_VIEW_EVERY = 5


class Projections:
    """The projections of all users; each step is a request to the engine, so that others are served in between.

    Args:
        engine: Engine.
        options: `metrics.options.Options`: where classifiers and LPIPS are.
        dataset, data_dir, distance: See `metrics.projection_distances.choose`.
    """

    def __init__(self, engine, options, dataset=None, data_dir=None, distance=None):
        self.engine, self.options = engine, options
        self.dataset, self.data_dir, self.distance = dataset, data_dir, distance
        self._running, self._lock = {}, threading.Lock()  # {picture's id: (threading.Event that stops it, user)}
        self._distances = {}  # what is opened once for each network

    def start(self, opened, content, steps, space, user, report):
        """Begins to project a picture.

        Args:
            opened: `opened.Opened`.
            content: Bytes of a picture file.
            steps, space: See `projection.Projection`.
            user: Who asks; see `forget`.
            report: Function of a dictionary for JSON: where it is, from another thread.

        Returns:
            The picture's id.

        Raises:
            ValueError: It is no picture that the network could make, or too many are under way.
        """
        picture = fitting_picture(content, opened.sampler.generator, crop=True, background="white")
        stop, name = threading.Event(), secrets.token_hex(8)
        with self._lock:
            if len(self._running) >= MOST_AT_ONCE:
                raise ValueError(f"{MOST_AT_ONCE} pictures are being projected already; wait for one of them.")
            self._running[name] = stop, user
        arguments = (name, opened, picture, steps, space, report, stop)
        threading.Thread(target=self._run, args=arguments, daemon=True).start()
        return name

    def stop(self, name):
        """Ends a projection as it stands; False if there is none."""
        with self._lock:
            stop, _ = self._running.get(name, (None, None))
        if stop:
            stop.set()
        return stop is not None

    def forget(self, user):
        """Ends those of a user whose page was closed, so that others need not wait for them."""
        with self._lock:
            for stop, owner in self._running.values():
                if owner == user:
                    stop.set()

    def close(self):
        """Ends all of them."""
        with self._lock:
            for stop, _ in self._running.values():
                stop.set()

    def _run(self, name, opened, picture, steps, space, report, stop):
        def ask(function):
            return self.engine.ask(("projection", name), "step", function).result()

        try:
            projection, distance = ask(lambda: self._begin(opened, picture, steps, space))
            while not projection.is_done and not stop.is_set():
                found = ask(projection.step)
                done = projection.steps_done
                if done % _VIEW_EVERY == 0 or projection.is_done:
                    image = ask(lambda: _png(projection, opened))
                    shown = {"step": done, "of": steps, "distance": float(found.distance[0]), "image": image}
                    report({"picture": name, "by": distance, **shown})
            facts = {HASH: opened.sampler.network_hash}
            while len(opened.pictures) >= MOST_KEPT:
                opened.pictures.pop(next(iter(opened.pictures)))
            opened.pictures[name] = Projected([name], projection.dlatents, projection.noise, [facts])
            report({"picture": name, "done": True, "step": projection.steps_done, "of": steps})
        except Dropped:
            report({"picture": name, "error": "The studio has stopped."})
        except (OSError, ValueError) as error:
            report({"picture": name, "error": str(error)})
        except Exception:
            traceback.print_exc()
            report({"picture": name, "error": FAILED})
        finally:
            with self._lock:
                del self._running[name]

    def _begin(self, opened, picture, steps, space):
        """The Projection of a picture, and what its distance is called."""
        sampler = opened.sampler
        if opened not in self._distances:
            dataset, data_dir, distance = choose(opened.target, self.distance, self.dataset, self.data_dir)
            found = open_distance(sampler.generator, distance, dataset, data_dir, self.options)
            self._distances = {opened: (found, sampled_statistics(sampler, sampled_labels(sampler)))}
        distance, statistics = self._distances[opened]
        projection = Projection(
            sampler.generator, distance, np.array([picture]), statistics, Schedule(steps), space=space
        )
        return projection, distance.name


def _png(projection, opened):
    """The image as it stands, a PNG file in base64."""
    (image,) = opened.sampler.pictures(to_uint8_rounded(projection.images()))
    return base64.b64encode(encode(image, **FAST)).decode()
