"""Everything that must hold, one session each. `nox` runs all, on the Pythons that are present."""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]
TWISTEDS = ["26.10.0", "latest"]


@nox.session(python=PYTHONS)
@nox.parametrize("twisted", TWISTEDS)
def tests(session: nox.Session, twisted: str) -> None:
    """pytest, with the lowest Twisted and the latest."""
    session.install("-e", ".[test]", "twisted" if twisted == "latest" else f"twisted=={twisted}")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def trial(session: nox.Session) -> None:
    """The same tests under Twisted's own runner."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "twisted.trial", *(session.posargs or ["tests"]))


@nox.session
def coverage(session: nox.Session) -> None:
    """All branches of the framings are taken by the tests."""
    session.install("-e", ".[test]", "coverage>=7.10")
    session.run("coverage", "run", "-m", "pytest", "-q", "-n0")
    session.run("coverage", "report", "--show-missing")
    session.run("coverage", "report", "--include=sockserve/framing/*", "--fail-under=100")


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.17,<0.18")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The HTML pages; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build")


@nox.session
def wheel(session: nox.Session) -> None:
    """Wheel, sdist and editable install each give a twistd that serves."""
    session.install("build>=1.3")
    session.run("python", "tests/support/check_wheel.py")


@nox.session(name="reactor-tests")
def reactor_tests(session: nox.Session) -> None:
    """Twisted's own tests of reactors, on ours and on its asyncio reactor; `--write` makes docs/reactor-tests.md."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.support.reactor_tests", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """sockserve, compiled and pure, beside its peers; `nox -s bench -- --write` makes docs/performance.md anew."""
    session.install(".[compare]")
    session.run("python", "-m", "bench.compare", *session.posargs)


@nox.session(default=False)
def linear(session: nox.Session) -> None:
    """Is the cost linear? CPU time against size."""
    session.install("-e", ".")
    session.run("python", "bench/linear.py", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """`nox -s fuzz -- SECONDS`: the harnesses in fuzz/ in turn; without seconds, the short run of .ci/run."""
    session.install("-e", ".[test,fuzz]")
    session.run("python", "-m", "fuzz", *(["--seconds", session.posargs[0]] if session.posargs else []))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """`nox -s soak -- MINUTES`: a real server under good, slow and hostile clients; one minute without a number."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.support.soak", *(session.posargs or ["1"]))
