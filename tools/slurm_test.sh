#!/usr/bin/env bash
# Test on a SLURM cluster.
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]
# Set GPUS (all), GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS (further words for srun) as needed.
set -euo pipefail
[ $# -ge 4 ] || { sed -n 2,4p "$0" >&2; exit 2; }
PARTITION=$1 JOB_NAME=$2 CONFIG=$3 CHECKPOINT=$4
shift 4
TOOLS=$(cd "$(dirname "$0")" && pwd)
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
[ "$GPUS_PER_NODE" -eq 0 ] || GRES="--gres=gpu:$GPUS_PER_NODE"
read -ra SRUN_ARGS <<<"${SRUN_ARGS:-}"
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
exec srun --partition="$PARTITION" --job-name="$JOB_NAME" ${GRES:-} --ntasks="${GPUS:-4}" \
  --ntasks-per-node="${TASKS_PER_NODE:-$((GPUS_PER_NODE > 0 ? GPUS_PER_NODE : 1))}" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS[@]+"${SRUN_ARGS[@]}"} \
  "${PYTHON:-python}" -u "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher slurm "$@"
