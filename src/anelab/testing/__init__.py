"""Contract tests that a workload or an arm inherits. They need pytest, which the extra `testing` installs.

Importing this package before `anelab.testing.workloads` or `anelab.testing.arms` lets pytest explain their assertions.
"""

import pytest

pytest.register_assert_rewrite("anelab.testing.workloads", "anelab.testing.arms")
