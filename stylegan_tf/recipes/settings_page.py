"""docs/settings.md, made of the declarations: python -m stylegan_tf.recipes.settings_page > docs/settings.md"""

import json

from stylegan_tf.recipes.settings import SETTINGS

HEAD = """# Settings

All that a run is made of. `--set KEY=VALUE` changes any of them, such as `--set schedule.lod_training_kimg=300`;
values are JSON or plain text. The most frequent have an option of their own, see `python run_training.py --help`.
Defaults are those of configuration F on FFHQ; configurations and data sets change some, and `--dry-run` prints what a
command comes to.

"May change" says whether a resumed run may have another value than it was started with. "Learned" says whether a
setting changes what the run learns; the others decide where and how fast it works, what it tells and what it keeps,
or are only other random numbers. Where no upper end is given, numbers end at 1e9, whole ones at 2147483647, and
minibatches at 65536 images.

Versions before 0.2 named the penalties of D with its loss: `logistic-simplegp`, `wgan-gp`, `hinge-gp`. Their
configurations are still read, and `--set loss.discriminator=wgan-gp` still means the base loss with its penalty.

This page is made of the declarations in `stylegan_tf/recipes/settings.py`:

    python -m stylegan_tf.recipes.settings_page > docs/settings.md

| setting | default | allowed | meaning | may change | learned |
|---|---|---|---|---|---|
"""


def settings_page():
    """The text of docs/settings.md."""
    return HEAD + "".join(row(name, setting) for name, setting in SETTINGS.items())


def row(name, setting):
    """A line of the table."""
    default = setting.unset or f"`{json.dumps(setting.default)}`"
    cells = (
        f"`{name}`",
        default,
        str(setting.allowed or ""),
        setting.text,
        "yes" if setting.resumable else "",
        "yes" if setting.learned else "",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    print(settings_page(), end="")
