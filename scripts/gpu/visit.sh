#!/bin/bash
# One visit to a machine with a GPU, in two calls; see README.md beside this file.
#
#   bash scripts/gpu/visit.sh measure PACK OUT [SECONDS]
#   bash scripts/gpu/visit.sh train PACK OUT MINUTES [START.npz]
#
# Runs in the repository's root. PACK is what pack.py wrote; OUT receives what is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda}
SETTINGS=build/gpu/measured.json  # for the second call on the same machine
command=$1 pack=$2 out=$3
mkdir -p "$out" build/gpu

case $command in
measure)
  seconds=${4:-150}
  # the first test of all: what is missing shows in seconds
  "$PYTHON" -c "import sys, torch, PIL; print(sys.version, torch.__version__, PIL.__version__); \
assert '$DEVICE' == 'cpu' or torch.cuda.is_available()"
  timeout $((seconds + 60)) "$PYTHON" scripts/gpu/measure.py "$out/measured.json" \
    --seconds "$seconds" --pack "$pack" --device "$DEVICE" ${OPTIONS:-} \
    2>&1 | tee "$out/measure.log"
  cp "$out/measured.json" "$SETTINGS"
  ;;
train)
  minutes=$4 start=${5:-}
  settings=$SETTINGS
  [ -f "$settings" ] || settings=$out/measured.json
  # two minutes beyond the time: the program ends by itself
  timeout "$("$PYTHON" -c "print(int(60 * $minutes + 120))")" \
    "$PYTHON" scripts/gpu/train.py "$pack" --minutes "$minutes" --out "$out" \
    --run build/gpu/run --device "$DEVICE" ${start:+--start "$start"} \
    $([ -f "$settings" ] && echo "--settings $settings") ${OPTIONS:-} \
    2>&1 | tee -a "$out/train.log"
  ;;
*)
  echo "The command must be measure or train. Received: $command." >&2
  exit 2
  ;;
esac
