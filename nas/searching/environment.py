"""What Ray is told through the environment. It reads some of it when it is imported: `search` sets it before."""

from __future__ import annotations

import os

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` every worker would make the environment again
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the old one prints nothing
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of the user stay what they are
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning of what a later Ray will do
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what the raylet says of a dead worker stands in the record
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON, TensorBoard: the study is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver's own stops more gently
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is the failure of one candidate, not of Tune
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's own state is not kept
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the reason stands in the record
    "TUNE_WARN_THRESHOLD_S": "60",
}


def prepare() -> None:
    """What the user has set stays as it is."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
