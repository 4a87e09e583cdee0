"""What a metric is: a network that looks at images, a number of samples, and a function that measures."""

from collections.abc import Callable
from dataclasses import dataclass, field

from metrics import networks
from metrics.features import check_count
from metrics.session import Session

# Images that FID compares (paper, section 2).
FID_SAMPLES = 50_000


@dataclass(frozen=True)
class Result:
    """What a metric found.

    Attributes:
        values: {result: float}.
        details: More of it that can be written as JSON.
        lines: The same, to be read.
        planes: Of the SVMs that it was found with; see `stylegan_tf.editing.directions.write_planes`.
    """

    values: dict
    details: dict = field(default_factory=dict)
    lines: list = field(default_factory=list)
    planes: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A metric of a generator: metric(generator, dataset) -> {result: float}.

    Attributes:
        summary: What it is, in a few words.
        network: Function of a session that opens the network which looks at the images.
        measure: Function of a session, that network and the number of samples, that returns a Result.
        usual: Number of samples; None for as many as there are real images, up to `FID_SAMPLES`.
        reals: Whether it compares with as many real images.
        keeps_planes: Whether its results have planes, which are kept beside them.
    """

    summary: str
    network: Callable
    measure: Callable
    usual: int | None = FID_SAMPLES
    reals: bool = True
    keeps_planes: bool = False

    def __call__(self, generator, dataset, options=None, opened=None):
        """Measures; see `Session` for the arguments."""
        with Session(generator, dataset, options, opened) as session:
            self.check(session)
            return self.measure(session, session.once(self.network), self.count(session)).values

    def needs_data(self, options):
        """Whether there must be a data set: to compare with, or to know which classifiers to take."""
        return self.reals or (self.network in networks.BY_CLASSIFIERS and options.classifiers is None)

    def count(self, session):
        """The number of samples."""
        return self.usual_count(session.options) or min(FID_SAMPLES, session.need_dataset().num_images)

    def usual_count(self, options):
        """The number of samples; None for as many as there are real images."""
        return options.num_samples or self.usual

    def check(self, session):
        """ValueError if there are not as many real images as the metric takes, or images that it cannot look at."""
        self.check_channels(session.generator.num_channels)
        if self.reals:
            self.check_reals(session.need_dataset(), session.options)

    def check_channels(self, channels):
        """ValueError for images that are transparent, where the metric's network sees grey or RGB."""
        if channels not in (1, 3) and self.network in (networks.inception, networks.lpips):
            seen_by = "Inception" if self.network is networks.inception else "LPIPS"
            raise ValueError(
                f"{seen_by}, which looks at the images of this metric, sees grey or RGB, and these have {channels} "
                "channels, with transparency; choose a metric of the data set's own classifiers."
            )

    def check_reals(self, dataset, options):
        """ValueError if a data set has not as many images as the metric compares with, or others than it looks at."""
        self.check_channels(dataset.num_channels)
        if self.reals and (count := self.usual_count(options)):
            check_count(dataset, options.mirror, count)


def result_name(session, name, count, latents=1):
    """The name of a result with what it was measured on: fid50k, fid1797, fid50k_mix2, fid50k_psi0.7."""
    number = f"{count // 1000}k" if count % 1000 == 0 else f"{count}"
    psi = session.options.truncation_psi
    return f"{name}{number}" + (f"_mix{latents}" if latents > 1 else "") + (f"_psi{psi:g}" if psi is not None else "")
