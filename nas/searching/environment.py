"""Environment variables of Ray. Ray reads some of them when it is imported, so `search` sets them before."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` every worker would create the environment again
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the old output prints nothing
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of the user keep their meaning
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about a future default
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # why a worker died is a reason in the study
    "RAY_worker_niceness": "0",  # Ray's own 15 gives candidates a thirtieth of a core on which anything else computes
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON, TensorBoard: the study is the only record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver's own handler stops more gently
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is the failure of one candidate, not of Tune
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's own state is not kept
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the reason is in the study
    "TUNE_STATE_REFRESH_PERIOD": "1000000000",  # where the head node is gone, to ask for resources ends the process
    "TUNE_WARN_THRESHOLD_S": "60",
}


def prepare(address: str | None = None) -> None:
    """Set every variable that the user has not set.

    address  of a cluster: who has a token shows it if the cluster asks for one; to another one it must not be shown,
             since then nothing that the cluster sends would be accepted here. Where Ray starts on this machine, it
             does that of itself
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is not None and "RAY_AUTH_MODE" not in os.environ and _has_token():
        from nas.searching.connecting import asks_for_token

        if asks_for_token(address):
            os.environ["RAY_AUTH_MODE"] = "token"


def _has_token() -> bool:
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or token_file().is_file()


def token_file() -> Path:
    """Return the file in which Ray looks for the token of a cluster."""
    return Path.home() / ".ray" / "auth_token"
