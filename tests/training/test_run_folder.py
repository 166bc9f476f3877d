"""Run folders: the commit that they record."""

import subprocess

import pytest

from tfderain.training import run_folder


def commit(folder):
    """A repository with one commit; returns the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    message = ["commit", "--quiet", "--allow-empty", "--message", "first"]
    subprocess.run([*git, *message], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("place", "own"),
    [("tfderain", True), (".venv/lib/site-packages/tfderain", False)],
)
def test_the_commit_is_that_of_tfderains_own_checkout(
    place, own, tmp_path, monkeypatch
):
    module = tmp_path / place / "training" / "run_folder.py"
    module.parent.mkdir(parents=True)
    monkeypatch.setattr(run_folder, "__file__", str(module))
    expected = commit(tmp_path)  # of tfderain, or of whoever made the environment
    assert len(expected) == 40
    assert run_folder.git_commit() == (expected if own else None)


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert run_folder.git_commit() is None
