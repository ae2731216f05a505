#!/usr/bin/env bash
# Everything a GPU has to show, in one go: probe, conformance, goldens, sanitizer, kernels, training. Needs an NVIDIA driver
# and nothing else; what Python, PyTorch and other peers it finds it measures as well. Each part has its own time and
# survives the failure of another. Lines of JSON go to $OUT/results.jsonl, everything else to $OUT/log.txt.
#
#   OUT=results             where the two files go
#   PARTS="probe kernels"   some parts only, always in the order above
#   SECONDS_KERNELS=60      seconds of a part (also SECONDS_PROBE, …_CONFORMANCE, …_GOLDENS, …_SANITIZER, …_TRAINING)
#   STEMS="matmul rope"     some kernels only; GOLDENS=llama some goldens only
#   PEERS=0                 ours alone
#   PYTHON=python3          the interpreter of the peers; empty for none
#   BACKEND=cuda            or emulated, or cpu, with TOY=1: a rehearsal at toy sizes whose figures mean nothing
set -u

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
OUT="${OUT:-results}"
PARTS="${PARTS:-probe conformance goldens sanitizer kernels training}"
BACKEND="${BACKEND:-cuda}"
TOY="${TOY:-0}"
PEERS="${PEERS:-1}"
PYTHON="${PYTHON-python3}"
mkdir -p "$OUT"
OUT="$(cd "$OUT" && pwd)"
lines="$OUT/results.jsonl"
log="$OUT/log.txt"
: >"$lines"
: >"$log"

device=cuda
[[ "$BACKEND" == cuda ]] || device=cpu
toy=()
[[ "$TOY" == 0 ]] || toy=(--toy)
if [[ -z "$PYTHON" ]] || ! command -v "$PYTHON" >/dev/null; then PYTHON=""; fi
export PYTHONPATH="$here/peers:$here/site${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOKENIZERS_PARALLELISM=false

# NVIDIA's libraries as Python's packages have them: our programs look through these folders as well as the system's.
if [[ -n "$PYTHON" && -z "${TUNESMITH_CUDA_LIB_DIR:-}" ]]; then
  folders="$("$PYTHON" -c 'import glob, sysconfig; print(":".join(sorted(glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib"))))' 2>>"$log")"
  [[ -z "$folders" ]] || export TUNESMITH_CUDA_LIB_DIR="$folders"
fi

say() { printf '%s\n' "$*" | tee -a "$log"; }
note() { printf '%s\n' "$1" >>"$lines"; }

# Runs a command until the part's deadline: its lines of JSON are kept with a prefix put into each, its other output is logged.
deadline=0
step() {
  local prefix="$1" left=$((deadline - SECONDS)) code
  shift
  if ((left <= 0)); then
    say "no time left for: $*"
    return 124
  fi
  printf '+ %s\n' "$*" >>"$log"
  timeout --kill-after=5 "$left" "$@" 2>>"$log" | tee -a "$log" | grep --line-buffered '^{' | sed -u "s/^{/{$prefix/" >>"$lines"
  code=${PIPESTATUS[0]}
  ((code == 0)) || say "exit $code: $*"
  return "$code"
}

# Quotes a text for JSON.
quoted() { printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"; }

probe() {
  local smi=""
  if command -v nvidia-smi >/dev/null; then
    smi="$(timeout 10 nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem --format=csv,noheader 2>>"$log" | head -n 1)"
  fi
  note "{\"part\":\"machine\",\"nvidia_smi\":$(quoted "$smi"),\"kernel\":$(quoted "$(uname -r)"),\"processors\":$(nproc),\"libraries\":$(quoted "${TUNESMITH_CUDA_LIB_DIR:-}")}"
  step '' "$here/bin/conformance" --backend "$BACKEND" --probe
}

# The CPU computes in float32 only.
dtypes="f32 bf16"
half=bf16
[[ "$BACKEND" != cpu ]] || { dtypes=f32; half=f32; }

conformance() {
  local worst=0
  for dtype in $dtypes; do
    step '' "$here/bin/conformance" ${STEMS:-} --backend "$BACKEND" --dtype "$dtype" || worst=$?
  done
  return "$worst"
}

goldens() {
  local worst=0
  for dtype in $dtypes; do
    step "\"part\":\"golden\",\"dtype\":\"$dtype\"," "$here/bin/goldens" --backend "$BACKEND" --dtype "$dtype" ${GOLDENS:+--filter "$GOLDENS"} "$here/fixtures" || worst=$?
  done
  return "$worst"
}

sanitizer() {
  local tool="" candidate worst=0 code summary
  for candidate in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer /opt/nvidia/*/compute-sanitizer; do
    [[ -x "$candidate" ]] && tool="$candidate" && break
  done
  if [[ -z "$tool" || "$BACKEND" != cuda ]]; then
    note "{\"part\":\"sanitizer\",\"error\":\"compute-sanitizer is not here\"}"
    return 0
  fi
  for stem in ${STEMS:-attention cross_entropy matmul nf4 lora_matmul rms_norm embedding grad_norm swiglu rope adamw sgd elementwise router grouped_matmul}; do
    for check in memcheck racecheck; do
      ((SECONDS < deadline)) || return "$worst"
      local left=$((deadline - SECONDS))
      timeout --kill-after=5 "$((left < 12 ? left : 12))" "$tool" --tool "$check" --launch-count "${LAUNCHES:-150}" \
        --error-exitcode 99 --log-file "$OUT/sanitizer.tmp" \
        "$here/bin/conformance" "$stem" --backend cuda --dtype bf16 >>"$log" 2>&1
      code=$?
      cat "$OUT/sanitizer.tmp" >>"$log" 2>/dev/null
      summary="$(grep -E 'SUMMARY' "$OUT/sanitizer.tmp" 2>/dev/null | tail -n 1)"
      rm -f "$OUT/sanitizer.tmp"
      note "{\"part\":\"sanitizer\",\"tool\":\"$check\",\"stem\":\"$stem\",\"exit\":$code,\"summary\":$(quoted "$summary")}"
      # 124 is the end of its time, which says nothing about the kernel.
      ((code == 0 || code == 124)) || worst=$code
    done
  done
  return "$worst"
}

# Stems in the order of what a step spends on them.
kernels() {
  local stems="${STEMS:-nf4 attention lora_matmul matmul cross_entropy rms_norm swiglu rope adamw sgd embedding grad_norm elementwise dropout dora grouped_matmul router}"
  local ours="$here/bin/kernels --backend $BACKEND --dtype $half" pair model tokens stem worst=0
  local models="${KERNEL_MODELS:-llama-3.1-8b:8192 qwen2.5-0.5b:32768}"
  [[ "$TOY" == 0 ]] || models=toy:64
  [[ -z "$PYTHON" || "$PEERS" == 0 ]] || step '' "$PYTHON" "$here/peers/ceilings.py" --device "$device" "${toy[@]}" || worst=$?
  for pair in $models; do
    model="${pair%%:*}" tokens="${pair##*:}"
    if [[ -n "$PYTHON" && "$PEERS" != 0 ]]; then
      step '' "$PYTHON" "$here/peers/kernel_timing.py" --ours "$ours" --shapes "$here/shapes.json" --model "$model" \
        --tokens "$tokens" --device "$device" "${toy[@]}" --rounds "${ROUNDS:-5}" \
        --seconds "$((deadline - SECONDS - 30))" ${NO_COMPILE:+--no-compile} $stems || worst=$?
      continue
    fi
    for stem in $stems; do
      step "\"part\":\"kernel\",\"stem\":\"$stem\",\"side\":\"tunesmith\",\"model\":\"$model\"," $ours "$stem" --model "$model" \
        --tokens "$tokens" --json || worst=$?
    done
  done
  return "$worst"
}

training() {
  local peers=() scenario left worst=0
  if [[ -n "$PYTHON" && "$PEERS" != 0 ]]; then
    peers+=(--peer "transformers+peft=$PYTHON $here/peers/training.py --device $device")
    if [[ "$device" == cuda ]] && "$PYTHON" -c 'import liger_kernel' 2>>"$log"; then
      peers+=(--peer "transformers+peft+liger=$PYTHON $here/peers/training.py --device $device --liger")
    fi
    # Unsloth starts from a checkpoint on the disk only, which is not part of the pack.
    note "{\"part\":\"training\",\"scenario\":\"llama-3.1-8b-qlora\",\"side\":\"unsloth\",\"error\":$("$PYTHON" -c 'import unsloth' 2>>"$log" && echo '"installed, but it trains checkpoints on the disk only"' || echo '"not installed"')}"
  fi
  for scenario in ${SCENARIOS:-llama-3.1-8b-qlora qwen2.5-0.5b-lora}; do
    step '' "$here/bin/steps" "$scenario" --backend "$BACKEND" --dtype "${TRAINING_DTYPE:-$half}" "${peers[@]}" "${toy[@]}" \
      --steps "${STEPS:-8}" --seconds "${SECONDS_WORKLOAD:-20}" || worst=$?
  done
  return "$worst"
}

declare -A limits=(
  [probe]="${SECONDS_PROBE:-30}" [conformance]="${SECONDS_CONFORMANCE:-60}" [goldens]="${SECONDS_GOLDENS:-50}"
  [sanitizer]="${SECONDS_SANITIZER:-50}" [kernels]="${SECONDS_KERNELS:-150}" [training]="${SECONDS_TRAINING:-180}"
)
note "{\"part\":\"run\",\"commit\":$(quoted "$(cat "$here/COMMIT" 2>/dev/null)"),\"backend\":\"$BACKEND\",\"toy\":$([[ "$TOY" == 0 ]] && echo false || echo true),\"date\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}"
failed=0
for part in probe conformance goldens sanitizer kernels training; do
  [[ " $PARTS " == *" $part "* ]] || continue
  begun=$SECONDS
  deadline=$((SECONDS + limits[$part]))
  "$part"
  code=$?
  note "{\"part\":\"end\",\"name\":\"$part\",\"exit\":$code,\"seconds\":$((SECONDS - begun)),\"limit\":${limits[$part]}}"
  say "$part: exit $code after $((SECONDS - begun)) s"
  ((code == 0)) || failed=1
done
say "all parts: ${SECONDS} s; lines: $lines"
exit "$failed"
