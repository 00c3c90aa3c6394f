"""What the pages need beyond their configuration: this year, and MathJax."""

import datetime
import shutil
from importlib.metadata import distribution
from pathlib import Path

# Formulas must render without network: the engine, its fonts, and the TeX extensions
# that it loads the first time a formula asks for one.
MATHJAX = ["tex-mml-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"]


def set_year(app, config):
    config.copyright = str(datetime.date.today().year)


def copy_mathjax(app, exception):
    if exception or app.builder.format != "html":
        return
    package = distribution("django-static-mathjax")
    source = Path(package.locate_file("mathjax/static/mathjax/es5"))
    target = Path(app.outdir, "_static", "mathjax")
    for name in MATHJAX:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, target / name)


def setup(app):
    app.connect("config-inited", set_year)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
