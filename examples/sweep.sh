#!/bin/sh
# A sweep over noise with three seeds, two jobs at a time, and its report: sh examples/sweep.sh [EPOCHS]
# Stopped or killed, the same command goes on: finished jobs are skipped, the others resume.
set -eu
lt-train -m noise.ratio=0.2,0.4 seed=0,1,2 'methods=[ce,imbalance_teacher,noise_teacher,dsink]' \
  trainer.max_epochs="${1:-60}" threads=1 launcher=joblib hydra.sweep.dir=runs/sweep
lt-report runs/sweep
