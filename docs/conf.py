"""Sphinx configuration; what is particular to this site lives in ``_ext``."""

import os
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
os.environ["OMP_NUM_THREADS"] = "1"  # the trials' arrays are small: threads would cost time

_project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = "ConvLaws"
author = "The ConvLaws developers"
copyright = author
release = version = _project["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
    "_ext.benches",
    "_ext.claims",
    "_ext.contradictions",
    "_ext.cost",
    "_ext.goals",
    "_ext.listings",
    "_ext.measurements",
    "_ext.module_maps",
    "_ext.mutants",
    "_ext.operators",
    "_ext.pictures",
    "_ext.portraits",
    "_ext.precision",
    "_ext.race",
    "_ext.transcripts",
    "_ext.verdicts",
]
exclude_patterns = ["_build", "_ext", "_generated", "results"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {"DTypeLike": "numpy.typing.DTypeLike"}  # a page of alternatives
napoleon_google_docstring = False
# "Attributes" may document several names in one entry, which the section of that name cannot.
napoleon_custom_sections = [("Attributes", "params_style")]
# Signatures show the annotations; repeated in the list of parameters they would not be readable.
napoleon_attr_annotations = False
napoleon_use_rtype = False
napoleon_preprocess_types = True
# theory and experiments each have a Finding; an annotation that is not evaluated may mean either.
suppress_warnings = ["ref.python"]
python_maximum_signature_line_length = 80

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = f"ConvLaws {release}"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["convlaws.css"]
html_show_sphinx = False
html_copy_source = False
