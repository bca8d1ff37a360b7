"""Lock, pyproject.toml, environment.yml and binder/ agree."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

TABLES = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = TABLES["project"]
LOCKS = [ROOT / "requirements.txt", ROOT / "tests" / "sqlalchemy-2.0.txt"]
NAMED_BY_THE_USER = {"jupyterlab", "sqlalchemy", "aiosqlite", "asyncpg",
                     "nest-asyncio", "nbval", "ipywidgets"}


def pins(text):
    """Name → version (str) of a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[.+?\])?==([^ ;\\]+)", text,
                           re.MULTILINE))


def declared():
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for lines in (PROJECT["dependencies"],
                                            *extras.values())
            for line in lines]


def lock_faults(text):
    """What is wrong with a lock (list of str)."""
    faults = [f"names a host: {line}" for line in text.splitlines()
              if "://" in line or "index-url" in line or "find-links" in line]
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    faults += [f"no hash: {entry.split()[0]}" for entry in entries
               if "--hash=sha256:" not in entry]
    return faults


def drift(requirements, lock):
    """Requirements that the lock does not meet (list of str)."""
    return [str(one) for one in requirements
            if one.name.lower() not in lock
            or not one.specifier.contains(lock[one.name.lower()])]


def environment_faults(text):
    """What is wrong with environment.yml (list of str)."""
    faults = []
    wanted = re.findall(r"^  - (.+?)(?: *#.*)?$", text, re.MULTILINE)
    python = [line for line in wanted if line.startswith("python")]
    if len(python) != 1 or not re.fullmatch(r"python=3\.\d+", python[0]):
        faults.append(f"Python has to be pinned with one '=': {python}")
    elif not Requirement(f"python{PROJECT['requires-python']}").specifier \
            .contains(python[0].partition("=")[2]):
        faults.append(f"{python[0]} is not {PROJECT['requires-python']}")
    others = [line for line in wanted if line not in
              (*python, "pip", "pip:", "conda-forge", "nodefaults")]
    if others:
        faults.append(f"not from the lock: {others}")
    if re.findall(r"^      - (.+)$", text, re.MULTILINE) != [
            "-r requirements.txt"]:
        faults.append("pip installs something else than the lock")
    return faults


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_lock(path):
    assert lock_faults(path.read_text()) == []


@pytest.mark.parametrize("old, new, fault", [
    ("asyncpg==", "--find-links https://example.org\nasyncpg==", "host"),
    ("    --hash=sha256:", "    # ", "no hash"),
])
def test_a_broken_lock_is_noticed(old, new, fault):
    broken = LOCKS[0].read_text().replace(old, new)
    assert any(fault in line for line in lock_faults(broken))


def test_the_lock_meets_pyproject():
    assert drift(declared(), pins(LOCKS[0].read_text())) == []
    assert NAMED_BY_THE_USER <= {one.name for one in declared()}


@pytest.mark.parametrize("requirement", [
    "sqlalchemy>=9", "not-in-the-lock", "ipykernel<7.4"])
def test_drift_is_noticed(requirement):
    assert drift([Requirement(requirement)],
                 pins(LOCKS[0].read_text())) == [requirement]


def test_the_two_lines_of_sqlalchemy():
    first, second = (pins(path.read_text())["sqlalchemy"] for path in LOCKS)
    assert Version("2.1") <= Version(first) < Version("2.2")
    assert Version("2.0.46") <= Version(second) < Version("2.1")
    asked = next(one for one in declared() if one.name == "sqlalchemy")
    assert asked.extras == {"asyncio"}
    assert asked.specifier.contains(second)


def test_environment_yml():
    assert environment_faults((ROOT / "environment.yml").read_text()) == []


@pytest.mark.parametrize("old, new", [
    ("python=3.12", "python>=3.12"),
    ("python=3.12", "python=3.9"),
    ("python=3.12", "python"),
    ("  - pip\n", "  - pip\n  - asyncpg=0.32\n"),
    ("-r requirements.txt", "-r requirements.txt\n      - asyncpg"),
])
def test_a_changed_environment_yml_is_noticed(old, new):
    text = (ROOT / "environment.yml").read_text()
    assert old in text
    assert environment_faults(text.replace(old, new))


def test_what_is_installed_is_what_is_locked():
    """Not on an environment of one's own: there the versions may differ."""
    from importlib.metadata import version

    if not (ROOT / ".venv" / "labsupport.stamp").exists():
        pytest.skip("not the environment that 'python3 -m labsupport' made")
    lock = pins(LOCKS[0].read_text())
    for name in NAMED_BY_THE_USER | {"greenlet", "ipykernel", "psycopg"}:
        assert version(name) == lock[name], name


def rendered(directory):
    """(buildpack, Dockerfile) that repo2docker makes of a repository."""
    from repo2docker.app import Repo2Docker

    before = os.getcwd()
    os.chdir(directory)
    try:
        app = Repo2Docker()
        for buildpack in app.buildpacks:
            pack = buildpack(base_image=app.base_image)
            if pack.detect():
                break
        pack.platform = "linux/amd64"
        return pack, pack.render({"NB_UID": "1000", "NB_USER": "jovyan"})
    finally:
        os.chdir(before)


def test_binder_builds_what_we_mean():
    pack, dockerfile = rendered(ROOT)
    assert type(pack).__name__ == "CondaBuildPack"
    assert pack.python_version == "3.12"
    for package in ("mariadb-server-core", "mariadb-client-core",
                    "pgbouncer"):
        assert package in dockerfile
    assert "binder/postBuild" in dockerfile
    # The whole repository is copied before conda runs: the lock is found.
    assert dockerfile.index("COPY --chown=1000:1000 src/ ") \
        < dockerfile.index("env update")


def test_a_dangling_link_in_binder_is_noticed(tmp_path):
    copy = tmp_path / "copy"
    (copy / "binder").mkdir(parents=True)
    (copy / "binder" / "environment.yml").symlink_to("../environment.yml")
    pack, _ = rendered(copy)
    assert type(pack).__name__ != "CondaBuildPack"


def test_binder_files():
    binder = ROOT / "binder"
    for name in ("environment.yml", "requirements.txt"):
        assert os.readlink(binder / name) == f"../{name}"
        assert (binder / name).exists()
    script = (binder / "postBuild").read_text()
    assert os.access(binder / "postBuild", os.X_OK)
    assert script.startswith("#!/bin/bash") and "set -eu" in script
    assert "CI=true python -m labsupport.databases" in script
    assert {path.name for path in binder.iterdir()} == {
        "apt.txt", "environment.yml", "postBuild", "requirements.txt"}


def test_post_build_starts_every_server():
    import sys

    done = subprocess.run([sys.executable, "-m", "labsupport.databases"],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "PostgreSQL: a fresh database" in done.stdout
    assert "MariaDB: a fresh database" in done.stdout \
        or not shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    broken = subprocess.run(
        [sys.executable, "-m", "labsupport.databases"], cwd=ROOT,
        capture_output=True, text=True,
        env={**os.environ, "LAB_PG_BINDIR": "/nowhere"})
    assert broken.returncode != 0


def test_mariadb_may_be_missing_but_not_under_ci(monkeypatch, capsys):
    import asyncio

    from labsupport.databases.__main__ import main
    from labsupport.servers import NotInstalled, ServerError, discover, mariadb

    mariadb.stop()
    monkeypatch.setattr(discover, "_mariadb_candidates", lambda: [])
    monkeypatch.setenv("CI", "false")
    asyncio.run(main())
    assert "No MariaDB is installed" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    with pytest.raises(NotInstalled):
        asyncio.run(main())
    # One that is there and broken is no missing one.
    monkeypatch.setenv("CI", "false")
    monkeypatch.setenv("LAB_MARIADB_BINDIR", "/nowhere")
    with pytest.raises(ServerError, match="no mariadbd is there"):
        asyncio.run(main())


def test_ci_calls_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m labsupport test" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "python3 -m labsupport test" in (ROOT / "README.md").read_text()
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


def test_every_package_is_installed():
    """``pip install .`` without -e takes what the pattern finds."""
    find = TABLES["tool"]["setuptools"]["packages"]["find"]
    assert find == {"include": ["labsupport*"]}
    folders = {path.parent for path in (ROOT / "labsupport").rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)
