"""How much each resolution contributes to the images of a generator that sums what they add, and how that changes.

Reference:
    Karras et al., 2019 (StyleGAN2), section 4.2.
"""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dnnlib.optional import import_optional
from stylegan_tf.files.find import find_snapshots, load_generator, pass_over
from stylegan_tf.pictures.convergence import check_redrawn, write_curves

# Images that are looked at where nobody says which.
SEEDS = range(256)

_HEADER = ("network", "kimg", "resolution", "deviation", "percent")


class Contributions(NamedTuple):
    """What the resolutions of one network contribute.

    Attributes:
        network: What it is called.
        kimg: Thousands of real images that it was trained on; None if it is not known.
        deviations: {resolution: standard deviation of what it adds}.
    """

    network: str
    kimg: float | None
    deviations: dict

    @property
    def percent(self):
        """{resolution: its share of the sum of all deviations, in per cent}."""
        total = sum(self.deviations.values())
        return {resolution: 100 * value / total for resolution, value in self.deviations.items()}


def deviations(sampler, w, noise="fixed", noise_seeds=None):
    """Standard deviations of what each resolution adds, over all images, channels and pixels, at its own size.

    Args:
        sampler: Sampler.
        w, noise, noise_seeds: See `Sampler.moments`.

    Returns:
        {resolution: float}, from 4 up.

    Raises:
        ValueError: The images are not sums over resolutions; the network is broken; or it adds the same everywhere.
    """
    means, variances = np.moveaxis(np.float64(sampler.moments(w, noise, noise_seeds)), -1, 0)
    # The variance of all is the mean of the images' variances and the variance of their means.
    values = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    if not values.any():
        raise ValueError("The network is broken: its images are of one colour, always the same; give another one.")
    return {4 << level: float(value) for level, value in enumerate(values)}


def figure_text(targets):
    """The text chunks of the PNG file: what is shown."""
    last = targets[-1]
    # A run that goes on is drawn again; one of its snapshots, or a file beside another one, is something else.
    shown = last.home if len(targets) > 1 or len(find_snapshots(last.home)) == 1 else last.path
    return {"figure": "contributions", "runs": str(shown.resolve())}


class ContributionsFigure(NamedTuple):
    """The figure as one of `paper_figures.PAPER`, without truncation.

    Attributes:
        seeds: Images that are looked at.
    """

    seeds: range = SEEDS

    def check(self, path, sampler, look, targets):
        """ValueError if there is another figure at PATH."""
        check_redrawn(path, figure_text(targets))

    def save(self, path, sampler, look, targets):
        """`write_contributions`."""
        write_contributions(targets, sampler, look._replace(psi=1.0), self.seeds, path)


def write_contributions(targets, sampler, look, seeds, path):
    """Draws what each resolution contributes to the images of seeds, and writes the numbers as CSV beside it.

    Of several networks, curves over training; of one, bars.

    Args:
        targets: Networks to look at, `find.Target`, of the same class and size; damaged ones but the last are named and
            passed over.
        sampler: Sampler of the last one, whose weights are replaced in turn.
        look: Look of the images.
        seeds: List of seeds.
        path: The PNG file.

    Raises:
        ValueError: The images are not sums over resolutions, a network differs from the last one, there is none of the
            look's class, or Matplotlib is missing; or there is a figure of something else at PATH.
    """
    look.check(sampler)
    text = figure_text(targets)
    check_redrawn(path, text)
    generator, found = sampler.generator, []
    # The last one goes first: it is the one that is loaded, and the one that stands for all when it cannot be shown.
    for target in tqdm(targets[::-1], unit="network", disable=None):
        if found:
            try:
                other = load_generator(target.path, generator.dtype_policy.name)
            except ValueError as error:
                pass_over(error)
                continue
            if type(other) is not type(generator) or other.arguments != generator.arguments:
                raise ValueError(f"{target.path} is another kind of network than {targets[-1].path}; measure it alone.")
            generator.set_weights(other.get_weights())
        made = deviations(sampler, look.styles(sampler, seeds), look.noise, seeds)
        found.append(Contributions(target.name, target.kimg, made))
    found = found[::-1]
    rows = [
        (one.network, one.kimg, resolution, value, one.percent[resolution])
        for one in found
        for resolution, value in one.deviations.items()
    ]
    write_curves(path, draw(found), _HEADER, rows, text)


def draw(found):
    """The Matplotlib figure of a list of Contributions: bars of one, curves over training of several."""
    matplotlib_figure = import_optional("matplotlib.figure", "Drawing curves", "metrics")
    figure = matplotlib_figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(ylabel="Contribution to the image, %")
    if len(found) == 1:
        names = [f"{resolution}x{resolution}" for resolution in found[0].percent]
        axes.bar(names, list(found[0].percent.values()))
        axes.set_title(found[0].network)
        return figure
    axes.set_xlabel("Thousands of real images seen")
    for resolution in found[0].percent:
        values = [one.percent[resolution] for one in found]
        axes.plot([one.kimg for one in found], values, "o-", markersize=3, label=f"{resolution}x{resolution}")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")
    return figure
