#!/usr/bin/env bash
# A study on the nodes of a Slurm job: Ray is started on all of them, the study runs on the first, and
# Ray ends with it. Submit it again to go on with an unfinished study.
#   sbatch --nodes=4 deploy/slurm.sh --dataset sst2 --study sst2 --trials 64
# README.md beside this file says what must be there: one environment and one home on a file system that
# all nodes share.
#SBATCH --job-name=safr-study
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
#SBATCH --output=safr-study-%j.log
set -euo pipefail

: "${SAFR_STUDY_HOME:?set SAFR_STUDY_HOME to a folder that all nodes share}"
# The study ends by itself, with everything written, before Slurm ends the job.
budget=${SAFR_TIME_BUDGET:-7h}
cores=${SLURM_CPUS_PER_TASK:-16}
nodes=${SLURM_JOB_NUM_NODES:?not in a Slurm job; give this file to sbatch}
gpus=${SLURM_GPUS_ON_NODE:-0}

umask 077
mkdir -p "$SAFR_STUDY_HOME"

# A token of this job's own, which every node reads from the shared file system: without one, whoever
# reaches a port of Ray could run code as you.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN_PATH=$SAFR_STUDY_HOME/.ray-token-$SLURM_JOB_ID
export RAY_AUTH_MODE RAY_AUTH_TOKEN_PATH SAFR_STUDY_HOME
head --bytes=32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH"
ended=$SAFR_STUDY_HOME/.ended-$SLURM_JOB_ID
trap 'rm -f "$RAY_AUTH_TOKEN_PATH" "$ended"' EXIT

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$first" hostname --ip-address | awk '{print $1}')
# 6379 belongs to whoever comes first; two jobs may share a login node, not a compute node.
port=6379

export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-300}
export RAY_USAGE_STATS_ENABLED=0

# The command of the first node leaves its exit code in a file: Ray's own says 0 also where Ray did not
# start.
# shellcheck disable=SC2016  # expanded by the inner shell
srun --nodes="$nodes" --ntasks="$nodes" ray symmetric-run --address "$address:$port" \
  --min-nodes "$nodes" --num-cpus "$cores" --num-gpus "$gpus" -- \
  sh -c 'code=0; safr-study search "$@" || code=$?; echo "$code" >"$0"; exit "$code"' \
  "$ended" --address auto --time-budget "$budget" --quiet "$@" || true

if [ ! -s "$ended" ]; then
  echo "error: Ray did not start on $nodes nodes; see above" >&2
  exit 1
fi
exit "$(cat "$ended")"
