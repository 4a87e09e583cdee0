"""The trainer: step, losses, checkpoints, reports. Devices and optimizer are in runtime/, settings in recipes/."""

from importlib.util import find_spec

# Another package of that name may be installed, without this file.
if find_spec("datasets") is None or find_spec("datasets.pipeline") is None:
    raise ModuleNotFoundError(
        "Training needs the project's folder datasets/, which is not installed with the package. Train in a clone of "
        "the project: python run_training.py --dataset=digits."
    )
