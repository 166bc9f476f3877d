#!/bin/bash
# One visit to a machine with a GPU, in two calls; see README.md beside this file.
#
#   bash scripts/gpu/visit.sh measure PACK OUT [SECONDS]
#   bash scripts/gpu/visit.sh train PACK OUT MINUTES [START.npz]
#
# Runs in the repository's root. PACK is what pack.py wrote, OUT a folder
# for what is kept. PYTHON, DEVICE and OPTIONS of the program may be set beforehand.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda}
run=build/gpu_run  # stays on the machine: checkpoints, and what the first call measured
command=$1 pack=$2 out=$3
mkdir -p "$out" "$run"

case $command in
measure)
  seconds=${4:-180}
  # the first test of all: what is missing shows in seconds
  "$PYTHON" -c "import sys, torch, PIL.features as features; print(sys.version, torch.__version__); \
assert features.check('webp'), 'Pillow must read WebP.'; \
assert '$DEVICE' == 'cpu' or torch.cuda.is_available(), 'PyTorch must see the GPU.'"
  trap 'cp -f "$out/measured.json" "$run/measured.json" || true' EXIT
  timeout $((seconds + 60)) "$PYTHON" scripts/gpu/measure.py "$out/measured.json" \
    --seconds "$seconds" --pack "$pack" --device "$DEVICE" ${OPTIONS:-} \
    2>&1 | tee "$out/measure.log"
  ;;
train)
  minutes=$4 start=${5:-}
  # of this machine, or of another one and brought along
  settings=$run/measured.json
  [ -f "$settings" ] || settings=$(dirname "$pack")/measured.json
  [ -f "$settings" ] || settings=
  # a minute beyond the time: the program ends by itself
  timeout "$("$PYTHON" -c "print(int(60 * $minutes + 60))")" \
    "$PYTHON" scripts/gpu/train.py "$pack" --minutes "$minutes" --out "$out" \
    --run "$run" --device "$DEVICE" ${start:+--start "$start"} \
    ${settings:+--settings "$settings"} ${OPTIONS:-} 2>&1 | tee -a "$out/train.log"
  ;;
*)
  echo "The command must be measure or train. Received: $command." >&2
  exit 2
  ;;
esac
