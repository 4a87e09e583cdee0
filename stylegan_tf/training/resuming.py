"""Going on with a run: its configuration, what may differ from it, and which run a restarted job goes on with.

What may differ decides how long and where a run works and what it tells, not what it computes: `accumulate`, `xla` and
another number of GPUs or hosts give the same training up to rounding and random draws, but not bit by bit.
"""

import json
from pathlib import Path

from dnnlib.run_dir import is_locked, run_dirs
from stylegan_tf.recipes.settings import SETTINGS, TrainingConfig, from_dict, override, to_dict
from stylegan_tf.training.checkpoint import checkpoints

# Settings that may differ from a run's own when it is resumed.
RESUMABLE = {name for name, setting in SETTINGS.items() if setting.resumable}


def load_run_config(run_dir):
    """The TrainingConfig of a run; ValueError if its config.json is missing or damaged."""
    path = Path(run_dir) / "config.json"
    try:
        return from_dict(TrainingConfig, json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{run_dir} is no run: there is no {path}; give a folder such as results/00000-...") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable configuration of a run: {error}") from None


def resumed_config(run_dir, preset, changes):
    """The configuration of a run with changes.

    Args:
        run_dir: Folder of the run.
        preset: Name of the preset, or None for the run's.
        changes: Settings of the form KEY=VALUE.

    Raises:
        ValueError: A change is not `RESUMABLE`, or there is no such setting, or the run's config.json is damaged.
    """
    stored = load_run_config(run_dir)
    config = override(stored, changes)
    before, after = flat(stored), flat(config) | ({"config": preset} if preset else {})
    for name in differences(before, after):
        raise ValueError(
            f"{run_dir} was started with {name}={before.get(name)}, not {after.get(name)}; a resumed run keeps its "
            f"configuration but for {', '.join(sorted(RESUMABLE))}."
        )
    return config


def find_same_run(outdir, config):
    """The newest run with this configuration, but for what is `RESUMABLE`, that holds a checkpoint; None if none does.

    A finished run is found as well, and one that a process is training but has not saved; whatever cannot be read is
    passed over.

    Args:
        outdir: Folder of numbered runs, which need not exist.
        config: TrainingConfig; if its `resolution` is None, for the data set's, a run of any resolution will do.
    """
    wanted = flat(config)
    for _, run_dir in reversed(run_dirs(outdir)):
        try:
            stored = flat(load_run_config(run_dir))
        except ValueError:
            continue
        if config.resolution is None:
            stored["resolution"] = None
        if not differences(stored, wanted) and (checkpoints(run_dir) or is_locked(run_dir)):
            return run_dir
    return None


def differences(before, after):
    """Names of the flat settings that differ and must not, in order."""
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name) != after.get(name) and name not in RESUMABLE]


def flat(config):
    """{"loss.r1_gamma": 10.0, ...} of a configuration, as it is after a way through JSON."""

    def items(values, prefix):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from items(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value

    return dict(items(json.loads(json.dumps(to_dict(config))), ""))
