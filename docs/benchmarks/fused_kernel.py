"""Registers, spills and the sweep's instructions of the GPU kernels, compiled ahead of time: no GPU is needed or used.

    python docs/benchmarks/fused_kernel.py

compiles both kernels of lt_callbacks/transport/fused_kernels.py for compute capability 8.0 and 9.0, as
fused_transport.py and fused_harmonise.py beside it launch them, and writes docs/results/fused-kernel.json. Instructions
are counted in the machine code: those of the smallest loop with a barrier, which is a sweep. How long a GPU takes is
not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# Before Triton is imported: what it compiled before must not be found again, since its time is reported.
os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp(prefix="fused_kernel_")
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from lt_callbacks import _files  # noqa: E402
from lt_callbacks.evaluation import hardware, versions  # noqa: E402
from lt_callbacks.transport import fused, fused_kernels  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
CAPABILITIES = (80, 90)
#: (rows, classes), both powers of two.
TILES = (
    (128, 16),
    (256, 16),
    (512, 16),
    (1024, 16),
    (2048, 16),
    (128, 32),
    (1024, 32),
    (128, 64),
    (512, 64),
    (64, 128),
    (128, 128),
    (256, 128),
    (64, 256),
    (128, 256),
)
POINTERS = {
    "class_marginal": "*fp32",
    "plan": "*fp32",
    "log_class_scaling": "*fp32",
    "marginal_error": "*fp32",
    "iterations": "*i64",
    "labels": "*fp32",
    "gradient": "*fp32",
    "numbers": "*fp32",
    "is_nonfinite": "*u8",
    "counts": "*i64",
}
INPUTS = ("log_kernel", "student", "noise", "imbalance")
REALS = ("tolerance", "student_weight", "scale")
KINDS = {
    "transport": ("transport_kernel", {"RELATIVE": False, "ACCELERATE": True}),
    "harmonise": ("harmonise_kernel", {"GIVEN_MARGINAL": False}),
}


def compiled(kind: str, tile: fused.Tile, capability: int, dtype: str) -> tuple[Any, float]:
    """The kernel of a tile and the seconds that it took."""
    name, flags = KINDS[kind]
    function = getattr(fused_kernels, name)
    constants = {"ROWS": tile.rows, "GROUPS": tile.groups, "WIDTH": tile.width, **flags}
    signature = {}
    for argument in function.arg_names:
        if argument in constants:
            signature[argument] = "constexpr"
        elif argument in INPUTS:
            signature[argument] = f"*{dtype}"
        else:
            signature[argument] = POINTERS.get(argument) or ("fp32" if argument in REALS else "i32")
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    began = time.perf_counter()
    kernel = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": tile.num_warps})
    return kernel, time.perf_counter() - began


def listing(kernel: Any) -> tuple[str, str]:
    """Machine code and resource usage."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        code = subprocess.run([TOOLS / "nvdisasm", "-c", file.name], capture_output=True, text=True, check=True)
        usage = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
        )
    return code.stdout, usage.stdout + usage.stderr


def sweep_of(code: str) -> tuple[int, list[str]]:
    """How many instructions there are, and those of the smallest loop with a barrier."""
    labels: dict[str, int] = {}
    instructions: list[str] = []
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    loops = []
    for position, instruction in enumerate(instructions):
        jump = re.search(r"BRA.*?`\((\.L_x_\d+)\)", instruction)
        if jump and labels.get(jump[1], position) < position:
            body = instructions[labels[jump[1]] : position + 1]
            if any("BAR" in each for each in body):
                loops.append(body)
    return len(instructions), min(loops, key=len)


def figures(kind: str, tile: fused.Tile, capability: int, dtype: str = "fp32") -> dict[str, Any]:
    """One row of the document."""
    kernel, seconds = compiled(kind, tile, capability, dtype)
    code, usage = listing(kernel)
    used = {key: int(value) for key, value in re.findall(r"\b(REG|STACK):(\d+)", usage)}
    total, sweep = sweep_of(code)

    def count(pattern: str, lines: list[str] = sweep) -> int:
        return sum(bool(re.search(pattern, line)) for line in lines)

    return {
        "kernel": kind,
        "capability": capability,
        "rows": tile.rows,
        "classes": tile.groups * tile.width,
        "width": tile.width,
        "num_warps": tile.num_warps,
        "dtype": dtype,
        "registers": used["REG"],
        "spilled_bytes": used["STACK"],
        "shared_bytes": kernel.metadata.shared,
        "instructions": total,
        "compile_seconds": round(seconds, 1),
        "sweep": {
            "instructions": len(sweep),
            "instructions_times_warps": len(sweep) * tile.num_warps,
            "spill_loads": count(r"\bLDL"),
            "spill_stores": count(r"\bSTL"),
            "shuffles": count(r"\bSHFL"),
            "barriers": count(r"\bBAR"),
        },
    }


def release(tool: Path) -> str:
    """Version of an assembler; Triton may have one for older and one for newer devices."""
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"release ([\d.]+)", said)[0]


def main() -> None:
    """Compile and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "fused-kernel.json")
    arguments = parser.parse_args()
    rows = []
    for shape in TILES:
        for capability in CAPABILITIES:
            for kind in KINDS:
                rows.append(figures(kind, fused.tile(*shape), capability))
                sys.stdout.write(f"{json.dumps(rows[-1])}\n")
                sys.stdout.flush()
    rows.append(figures("harmonise", fused.tile(128, 128), 90, "bf16"))
    content = {
        "format": "lt_callbacks benchmark",
        "format_version": 1,
        "command": "python docs/benchmarks/fused_kernel.py",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": {
            "max_entries": fused.MAX_ENTRIES,
            "max_classes": fused.MAX_CLASSES,
            "load_average": [round(value, 2) for value in os.getloadavg()],
        },
        "hardware": hardware(),
        "versions": {
            **versions(),
            "triton": triton.__version__,
            **{tool.name: release(tool) for tool in sorted(TOOLS.glob("ptxas*"))},
        },
        "rows": rows,
    }
    _files.write_json(arguments.output, content)


if __name__ == "__main__":
    main()
