"""Packages that only some formats need: imported when they are, so that nobody else has to install them."""

import importlib


def import_optional(module, purpose, extra, packages=None):
    """Returns an imported module, such as "scipy.io".

    Args:
        module: Name of the module.
        purpose: What needs it, the beginning of a sentence: "Reading LSUN's databases".
        extra: The extra in pyproject.toml that has the package; None if none has.
        packages: What to install, as pip takes it; by default the package that is named like the module.

    Raises:
        ValueError: It is not installed; the message has the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        whose = f", of the extra [{extra}]" if extra else ""
        raise ValueError(
            f"{purpose} needs the package {package}{whose}. Install it: pip install {packages or package}."
        ) from error
