"""The paper's figures with their published seeds, and figures as files that say what they show."""

import re
from typing import NamedTuple

from dnnlib.image_files import save_image
from stylegan_tf.pictures.contributions import ContributionsFigure
from stylegan_tf.pictures.figures import PSIS, noise_components, noise_detail, style_mixing, truncation, uncurated
from stylegan_tf.pictures.gallery import is_there


class Figure(NamedTuple):
    """A figure that can be made.

    Attributes:
        function: A function of `figures`.
        arguments: Its keyword arguments, besides sampler and look.
    """

    function: object
    arguments: dict

    @property
    def name(self):
        """What its file is called."""
        return self.function.__name__.replace("_", "-")

    def text(self, sampler, look):
        """The text chunks of its PNG file: all that it depends on."""
        text = look.origin(sampler) | {"figure": self.name}
        if self.function is not truncation:
            text["truncation psi"] = f"{look.psi:g} on the first {look.cutoff} layers"
        if self.function not in (noise_detail, noise_components):
            text["noise"] = look.noise
        if sampler.label_size:
            text["class"] = "each in turn" if look.label is None else sampler.class_name(look.label)
        return text | {name.replace("_", " "): _written(value) for name, value in self.arguments.items()}

    def check(self, path, sampler, look, targets=None):
        """ValueError if there is another figure at PATH."""
        is_there(path, self.text(sampler, look))

    def save(self, path, sampler, look, targets=None):
        """Writes its PNG file, unless it is there. `targets`, the networks of the run, are for figures of training.

        Raises:
            ValueError: There is another figure of that name, or the network cannot show this one.
        """
        look.check(sampler)
        text = self.text(sampler, look)
        if not is_there(path, text):
            picture = self.function(sampler, look, **self.arguments)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_image(path, sampler.pictures(picture), text)


def _written(value):
    if value is None:
        return "default"
    if not isinstance(value, list | tuple):
        return str(value)
    nested = isinstance(value[0], list | tuple)
    return ("; " if nested else ", ").join(map(_written, value))


# StyleGAN's figures with their published seeds, by data; and what shows the same of StyleGAN2's networks, small ones as
# well, with seeds of ours.
PAPER = {
    "faces": {
        "figure02-uncurated": Figure(uncurated, {"seed": 5, "rows": 3, "lods": (0, 1, 2, 2, 3, 3)}),
        "figure03-style-mixing": Figure(
            style_mixing,
            {
                "row_seeds": (888, 829, 1898, 1733, 1614, 845),
                "column_seeds": (639, 701, 687, 615, 2268),
                "styles": ("coarse", "coarse", "coarse", "middle", "middle", "fine"),
            },
        ),
        "figure04-noise-detail": Figure(noise_detail, {"seeds": (1157, 1012)}),
        "figure05-noise-components": Figure(noise_components, {"seeds": (1967, 1555)}),
        "figure08-truncation": Figure(truncation, {"seeds": (91, 388), "psis": PSIS}),
    },
    "bedrooms": {"figure10-uncurated": Figure(uncurated, {"seed": 0, "rows": 5, "lods": (0, 0, 1, 1, 2, 2, 2)})},
    "cars": {
        "figure11-uncurated": Figure(
            # LSUN's cars are 512x384, in squares with black bars.
            uncurated,
            {"seed": 2, "rows": 4, "lods": (0, 1, 2, 2, 3, 3), "crop": (0, 64, 512, 384)},
        )
    },
    "cats": {"figure12-uncurated": Figure(uncurated, {"seed": 1, "rows": 5, "lods": (0, 0, 1, 1, 2, 2, 2)})},
    "stylegan2": {
        "stylegan2-uncurated": Figure(uncurated, {"seed": 0, "rows": 3, "lods": (0, 0, 1, 1, 2, 2)}),
        "stylegan2-style-mixing": Figure(
            style_mixing,
            {
                "row_seeds": (0, 1, 2, 3),
                "column_seeds": (4, 5, 6, 7, 8),
                "styles": ("coarse", "coarse", "middle", "middle"),
            },
        ),
        "stylegan2-truncation": Figure(truncation, {"seeds": (0, 1, 2), "psis": PSIS}),
        "stylegan2-noise-detail": Figure(noise_detail, {"seeds": (0, 1)}),
        "stylegan2-noise-components": Figure(noise_components, {"seeds": (0, 1)}),
        "stylegan2-contributions": ContributionsFigure(),
    },
}


def paper_set(name):
    """The set of `PAPER` for a network or data set of this name: that which it mentions, else the faces."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    return next((key for key in PAPER if words & {key, key.removesuffix("s")}), "faces")


def save_paper_figures(sampler, look, name, outdir, targets=()):
    """Writes the figures of a set.

    Args:
        sampler: Sampler.
        look: Look, with the psi and cutoff of the paper's pictures.
        name: A key of `PAPER`.
        outdir: Path of a folder.
        targets: Networks of the run, `find.Target`, for what shows how they change; the sampler's is the last.

    Yields:
        (path, None) for each figure, or (path, why) for one that the network cannot show.

    Raises:
        ValueError: It can show none of them; it does not have the class; or a figure of another network is there.
    """
    look.check(sampler)
    reasons = []
    for file, figure in PAPER[name].items():
        path = outdir / f"{file}.png"
        figure.check(path, sampler, look, targets)
        reason = None
        try:
            figure.save(path, sampler, look, targets)
        except ValueError as error:
            reason = str(error)
        reasons.append(reason)
        yield path, reason
    if all(reasons):
        raise ValueError(f"None of the figures of {name} can be shown: {reasons[0]}")
