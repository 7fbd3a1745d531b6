"""Transcripts: a command of the project and what it printed when the site was built."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from _ext.places import ROOT

_COLUMNS = "100"


class TranscriptDirective(SphinxDirective):
    """Run the command of the argument, ``python -m ...``, and show it with its output."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        command = self.arguments[0]
        program, *arguments = shlex.split(command)
        if program != "python":
            raise self.error(f"{command!r}: expected a command that starts with python")
        run = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": _COLUMNS, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise self.error(f"{command!r} ends with exit code {run.returncode}: {run.stderr}")
        output = "\n".join(line.rstrip() for line in run.stdout.rstrip().splitlines())
        text = f"$ {command}\n{output}"
        return [nodes.literal_block(text, text, language="console")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive ``transcript``."""
    app.add_directive("transcript", TranscriptDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
