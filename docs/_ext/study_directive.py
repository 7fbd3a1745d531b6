"""What the directives that show a study of the catalogue have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _ext.chips import chip
from _ext.runs import runs_of
from experiments.advice import how_to_run
from experiments.catalog import study

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.environment import BuildEnvironment

    from experiments.records import Record
    from experiments.study import Study


class StudyDirective(SphinxDirective):
    """A directive whose argument names a study of the catalogue."""

    required_arguments = 1

    @property
    def store(self) -> Path:
        return Path(self.config.convlaws_records)

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            chosen = study(self.arguments[0])
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.show(chosen)

    def show(self, study: Study) -> list[nodes.Node]:
        raise NotImplementedError

    def records(self, study: Study, role: str, completion: str) -> list[Record]:
        """Return the records of a role under a completion."""
        try:
            recipe = study.recipe(role, completion)
        except ValueError as error:
            raise self.error(str(error)) from error
        return list(runs_of(study.name, self.store)[recipe.name].values())

    def on_request(self, study: Study, names: Iterable[str]) -> list[nodes.paragraph]:
        """Say what those of these recipes need that are run only when they are named."""
        told = []
        for name in names:
            if need := study.on_request.get(name):
                text = nodes.Text(f" is run only when it is named, for it needs {need}.")
                told.append(nodes.paragraph("", "", nodes.literal("", name), text))
        return told


def not_run(env: BuildEnvironment, study: Study, what: str, store: Path) -> nodes.paragraph:
    """Say that something was not run, and once a page which command runs what is missing."""
    paragraph = nodes.paragraph("", "", chip("not_run"), nodes.Text(f" {what}"))
    if study.name not in told_commands(env):
        told_commands(env).add(study.name)
        paragraph += nodes.Text("; ")
        paragraph += nodes.literal("", how_to_run(study, store))
        paragraph += nodes.Text(" runs what is missing")
    paragraph += nodes.Text(".")
    return paragraph


def told_commands(env: BuildEnvironment) -> set[str]:
    """Return the studies whose command stands on the page that is being read."""
    told = env.temp_data.setdefault("convlaws:told-commands", set())
    assert isinstance(told, set)
    return told
