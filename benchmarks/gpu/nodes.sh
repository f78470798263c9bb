#!/bin/bash
# Times 1, 2 and 4 machines, a rank for each GPU, with atoms in proportion: sbatch benchmarks/gpu/nodes.sh X.model Si
#SBATCH --job-name=lammps-mace-nodes
#SBATCH --nodes=4
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --time=00:30:00
set -euo pipefail
MODEL=${1:?usage: sbatch nodes.sh X.model ELEMENT}
ELEMENT=${2:?usage: sbatch nodes.sh X.model ELEMENT}
PER_RANK=${PER_RANK:-12}    # a crystal of 8 PER_RANK^3 atoms for each rank
RANKS_PER_NODE=${SLURM_NTASKS_PER_NODE:-4}

for NODES in 1 2 4; do
  RANKS=$((NODES * RANKS_PER_NODE))
  cat > "in.nodes.$NODES" <<INPUT
units metal
processors $RANKS 1 1
lattice diamond 5.43
region box block 0 $((PER_RANK * RANKS)) 0 $PER_RANK 0 $PER_RANK
create_box 1 box
create_atoms 1 box
mass 1 28.0855
displace_atoms all random 0.05 0.05 0.05 4711
pair_style mliap unified $MODEL 0
pair_coeff * * $ELEMENT
neigh_modify every 10 delay 0 check no
fix 1 all nve
run 10 post no
run 100
INPUT
  srun --nodes="$NODES" --ntasks="$RANKS" lmp -in "in.nodes.$NODES" -log "log.nodes.$NODES" > /dev/null
  printf '%s nodes, %s ranks: ' "$NODES" "$RANKS"
  grep '^Loop time' "log.nodes.$NODES" | tail -1
done
