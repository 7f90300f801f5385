#!/usr/bin/env bash
# Train the default model from the ImageNet trunk, export it, measure it. Resumes when run again.
#
#   recipes/train_lite.sh DATA OUT      DATA: folder with train/*.tar and val/*.tar;  OUT: folder of the run
#
# Two processes with one thread each use two cores better than one process with two: they meet once per step instead of
# at every operator. PROCESSES=<cores> on larger machines. The stage `train_accelerator` is for one accelerator (thirteen
# minutes on an H200); on two cores it takes days.
set -euo pipefail
data=${1:?folder with train/ and val/}
out=${2:?folder for the run}
processes=${PROCESSES:-2}

# glibc gives large blocks back to the system after every operator; keeping them saves page faults.
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

shards=()
for shard in "$data"/train/train-*.tar "$data"/train/duts-*.tar; do shards+=(--data "$shard"); done
train() { torchrun --standalone --nproc-per-node "$processes" -m anymask train "${shards[@]}" "$@"; }
train --recipe lite --out "$out/first"
train --recipe stage2 --set weights_from="$out/first" --out "$out/second"

# Average of both (model soup): better at the first click than either, the second stage having seen larger scales.
anymask export "$out/first" --mean-with "$out/second" --out "$out/mean"

# The whole network once more, on an accelerator. Interpolated with the weights it started from it is better than either;
# last the probability head is trained on held-out photos, while the masks stay as they are.
anymask train "${shards[@]}" --recipe train_accelerator --set weights_from="$out/mean/lite.safetensors" --out "$out/accelerator"
python "$(dirname "$0")/choice.py" "$out/accelerator" "$out/choice" "$data"/train/train-*.tar "$data"/train/duts-*.tar \
  --mix "$out/mean/lite.safetensors"

# The box head, on the frozen encoder. Photos with boxes alone are used, too.
for shard in "$data"/train/boxes*.tar; do if [ -e "$shard" ]; then shards+=(--data "$shard"); fi; done
train --recipe boxes --set weights_from="$out/choice" --out "$out/boxes"

# The edge head, from photos with masks everywhere.
train --recipe edges --set weights_from="$out/choice" --out "$out/edges"
anymask export "$out/choice" --half --boxes "$out/boxes" --edges "$out/edges" --out "$out/exported" \
  --card "$(dirname "$0")/lite.card.json"
for set in grabcut davis; do anymask evaluate clicks "$data/val/$set.tar" --model "$out/exported/lite.json" --json; done
anymask evaluate clicks "$data/val/coco.tar" --max-clicks 5 --model "$out/exported/lite.json" --json
anymask evaluate boxes "$data/val/coco.tar" --model "$out/exported/lite.json" --json
anymask evaluate proposals "$data/val/coco.tar" --model "$out/exported/lite.json" --json
anymask evaluate edges "$data/val/bsds.tar" --model "$out/exported/lite.json" --json
anymask evaluate calibration "$data/val/coco.tar" --model "$out/exported/lite.json" --json --plot "$out/reliability.png"
