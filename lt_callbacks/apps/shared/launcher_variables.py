"""The variables by which a launcher tells a process which rank of how many it is. Standard library only."""

from __future__ import annotations

import os

#: How a process learns which rank it is, from whichever launcher.
RANK_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "ROLE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "ROLE_NAME",
    "MASTER_ADDR",
    "MASTER_PORT",
)
_RANK_PREFIXES = ("TORCHELASTIC_", "TORCH_NCCL_ASYNC", "SLURM_", "OMPI_", "PMI_", "PMIX_", "JSM_")


def clean_environment() -> dict[str, str]:
    """The environment without what makes a child believe that it is a rank of somebody else's job."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in RANK_VARIABLES and not name.startswith(_RANK_PREFIXES)
    }


def launcher_ranks() -> tuple[str, int] | None:
    """The launcher that started several processes of this command, and how many; None where there is just one."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment and int(environment.get("WORLD_SIZE", "1")) > 1:
        return "torchrun", int(environment["WORLD_SIZE"])
    # The processes of a batch script have SLURM_NTASKS too; a step is what srun started.
    if "SLURM_STEP_ID" in environment and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "srun", int(environment["SLURM_STEP_NUM_TASKS"])
    return None


def forget_batch_script() -> None:
    """Where a Slurm batch script started this process without srun, keep Lightning from waiting for its other tasks."""
    if "SLURM_JOB_ID" in os.environ and "SLURM_STEP_ID" not in os.environ:
        for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):
            os.environ.pop(name, None)
