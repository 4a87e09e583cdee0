"""Which network it is, wherever it is stored: what results and pictures are known by."""

import hashlib
import json

import numpy as np


def network_hash(generator):
    """SHA-256 of a generator's class, arguments, variables and growth, hexadecimal: wherever it is stored."""
    arguments = {name: value for name, value in generator.arguments.items() if name != "growth"}
    facts = [type(generator).__name__, arguments, generator.growth or (generator.resolution, 1.0)]
    hashed = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for variable in generator.variables:
        hashed.update(variable.path.partition("/")[2].encode())
        hashed.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return hashed.hexdigest()
