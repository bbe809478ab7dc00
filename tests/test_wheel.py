"""The wheel, outside of the checkout, with the extra of one framework and nothing that this does not ask for."""

import email
import email.message
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CHOICES = "--epochs 1 --batch-size 10 --width 2 --steps 2 --drift-widths 2 --test-samples 2 --validation 0.2"
LIBRARIES = {"jax": "jax", "torch": "torchsde"}


def run(*command: str | Path, cwd: Path) -> str:
    # Without the settings of these tests, and with no place from which pip could take what is missing.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JAX_NUMPY_", "PIP_"))}
    env["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the sdist, as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert len(list(folder.glob("sdebnn-*.tar.gz"))) == 1
    (built,) = folder.glob("sdebnn-*.whl")
    return built


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_what_a_package_index_shows_needs_no_file_beside_it(wheel: Path) -> None:
    targets = re.compile(r"""(?:\]\(|src="|href=")([^)"]+)""")
    readme = (ROOT / "README.md").read_text()
    shown = metadata(wheel).get_payload()
    assert isinstance(shown, str)
    assert [target for target in targets.findall(readme) if not target.startswith("https://")]  # its picture
    assert [target for target in targets.findall(shown) if not target.startswith("https://")] == []
    # But for the picture, every word.
    assert len(shown.split()) > 0.9 * len(readme.split())


def requirements(lines: Iterable[str], extras: Iterable[str]) -> list[Requirement]:
    """Those that hold here with these extras."""
    found = map(Requirement, lines)
    return [r for r in found if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in ("", *extras))]


def brought(wanted: list[Requirement]) -> set[str]:
    """The distributions that an installation of these brings, of those that are here."""
    names: set[str] = set()
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop()
        names.add(requirement.name)
        lines = importlib.metadata.requires(requirement.name) or []
        waiting += [r for r in requirements(lines, requirement.extras) if r.name not in names]
    return names


def environment(folder: Path, distributions: set[str]) -> Path:
    """A new environment that has these distributions as links to the files of this one, which takes no time and no
    network, and sees nothing else. Its folder of programs.
    """
    venv.create(folder, with_pip=False)
    at = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=at))
    for name in distributions:
        files = importlib.metadata.files(name) or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link, target = packages / top, Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if not link.is_symlink() and target.exists():
                link.symlink_to(target)
    return Path(sysconfig.get_path("scripts", "venv", vars=at))


@pytest.mark.parametrize("framework", LIBRARIES)
def test_a_table_is_trained_on_with_the_extra_of_one_framework(framework: str, wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip(LIBRARIES[framework])
    lines = metadata(wheel).get_all("Requires-Dist") or []
    programs = environment(tmp_path / "venv", brought(requirements(lines, [framework])))
    # pip looks whether all that the wheel asks for is there in the version that it asks for, and may not fetch it.
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-index")
    run(*pip, f"{wheel}[{framework}]", cwd=tmp_path)

    other = "torch" if framework == "jax" else "jax"
    find = f"import importlib.util as u; print([u.find_spec(n) for n in ('{other}', 'matplotlib', 'tensorboardX')])"
    assert run(programs / "python", "-c", find, cwd=tmp_path) == "[None, None, None]\n"
    where = run(programs / "python", "-c", "import sdebnn; print(sdebnn.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))

    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
    np.savez(tmp_path / "new.npz", x=x[:3])
    sdebnn = programs / "sdebnn"
    options = ("--data", "mine.npz", "--output", "run", "--framework", framework, *CHOICES.split())
    run(sdebnn, "train", *options, cwd=tmp_path)
    assert "accuracy" in run(sdebnn, "evaluate", "run", cwd=tmp_path)
    run(sdebnn, "predict", "run", "new.npz", "--output", "predictions.csv", cwd=tmp_path)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 4
