#!/usr/bin/env bash
# Train with several processes, one a GPU; on a machine without a GPU they share the cores.
#   tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,4p "$0" >&2; exit 2; }
CONFIG=$1 GPUS=$2
shift 2
TOOLS=$(cd "$(dirname "$0")" && pwd)
# torchrun's own default is one thread a process
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(($(nproc) > GPUS ? $(nproc) / GPUS : 1))}
export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
  --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" --nproc-per-node="$GPUS" \
  "$TOOLS/train.py" "$CONFIG" --launcher pytorch "$@"
