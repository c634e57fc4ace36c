"""When a wheel is built, puts dashboards/, which lies at the top of the repository, into it as anelab/dashboards.

Everything else is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithDashboards(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "anelab", "dashboards")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / "dashboards", target, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithDashboards})
