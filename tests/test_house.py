"""The house of CONTRIBUTING.md: what may import what, and who may ask which family a network belongs to."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The rooms of stylegan_tf/ from the top; those of a floor may import one another, without going round in circles.
FLOORS = (
    {"commands"},
    {"training", "export", "editing"},
    {"files", "pictures"},
    {"networks"},
    {"images"},
    {"layers", "augment", "recipes", "runtime", "perception"},
)
# The packages from the top.
PACKAGES = ("studio", "metrics", "stylegan_tf", "datasets", "dnnlib")


def imports_of(path):
    """[(module, line, whether it stands inside a function)] of what a file imports."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module == "stylegan_tf":
            names = [f"stylegan_tf.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found += [(name, node.lineno, id(node) in inside) for name in names]
    return found


def files_of(package):
    return sorted((ROOT / package).rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT / "stylegan_tf").parts
    return parts[0] if len(parts) > 1 else path.stem


@pytest.mark.parametrize("package", [name for name in PACKAGES if (ROOT / name).is_dir()])
def test_packages_import_downwards(package):
    above = PACKAGES[: PACKAGES.index(package)]
    for path in files_of(package):
        for module, line, _ in imports_of(path):
            assert module.split(".")[0] not in above, f"{path}:{line} imports {module}, which is above it"


def test_rooms_import_downwards():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    arrows = set()
    for path in files_of("stylegan_tf"):
        room = room_of(path)
        if room == "__init__":
            continue
        for module, line, _ in imports_of(path):
            if module.startswith("stylegan_tf.") and (other := module.split(".")[1]) != room:
                assert floor[room] <= floor[other], f"{path}:{line}: {room} imports {other}, which is above it"
                arrows.add((room, other))
    for room, other in arrows:
        assert (other, room) not in arrows, f"{room} and {other} import each other"


def test_nothing_is_imported_inside_functions():
    """But for packages that may be missing, and for what must not be imported with the package itself."""
    ours = {*PACKAGES, "benchmarks", "serving"}
    for package in PACKAGES:
        for path in files_of(package) if (ROOT / package).is_dir() else ():
            for module, line, inside in imports_of(path):
                lazy = path == ROOT / "stylegan_tf" / "__init__.py"
                assert lazy or not (inside and module.split(".")[0] in ours), f"{path}:{line} imports {module} late"


def test_programs_import_tensorflow_as_one():
    """What silences it, and chooses its operations, comes before whatever imports it in every program that does."""
    found = 0
    for path in [*ROOT.glob("*.py"), *files_of("stylegan_tf/commands"), *files_of("benchmarks"), *files_of("serving")]:
        names = [name for name, _, _ in imports_of(path)]
        first = [name for name in names if name.split(".")[0] in ("tensorflow", "keras")]
        if "dnnlib.quiet_tensorflow" in names:
            before = names[: names.index("dnnlib.quiet_tensorflow")]
            assert not set(before) & set(first), path
            found += 1
        else:
            assert not first or "__main__" not in path.read_text(), path
    assert found > 20


def test_networks_and_layers_are_plain_keras():
    for path in (path for room in ("networks", "layers", "augment") for path in files_of(f"stylegan_tf/{room}")):
        assert not [name for name, _, _ in imports_of(path) if name.split(".")[0] in ("tensorflow", "jax", "torch")]
        assert not re.search(r"\btf\.", path.read_text()), path


def test_families_are_the_networks_own_affair():
    allowed = ("networks", "recipes", "files")
    for package in (*PACKAGES, "serving", "benchmarks"):
        for path in files_of(package) if (ROOT / package).is_dir() else ():
            if package != "stylegan_tf" or room_of(path) not in allowed:
                assert "progan" not in path.read_text().lower(), path


def test_every_room_says_what_lives_in_it():
    for folder in sorted({path.parent for path in files_of("stylegan_tf")}):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_no_two_files_of_one_name():
    names = {}
    for package in PACKAGES:
        for path in files_of(package) if (ROOT / package).is_dir() else ():
            if path.name != "__init__.py":
                names.setdefault(path.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in names.items() if len(paths) > 1}
