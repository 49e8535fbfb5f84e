#!/usr/bin/env bash
# Breaks the engine on purpose, one patch at a time, and shows that the tests notice.
#
#   engine/tests/mutants/run.sh            # all patches beside this script
#   engine/tests/mutants/run.sh NAME...    # some of them
#
# Patches whose names begin with scheduler- run against that crate's tests, the others against the
# engine's unit tests and properties. Works on a scratch copy of the tree, with a target folder that
# is for mutants alone: cargo cannot tell a crate in one copy of a workspace from that in another,
# and would go on with a broken one. First the tests must pass as they are: on a machine too busy
# for them, every mutant would look caught. Compiling takes a minute or more for each patch, so this
# is no part of continuous integration. Exit status 0 if every mutant is caught. "Caught by 0 tests"
# is a run that was stopped because it did not end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CARGO_TARGET_DIR="${PLEACH_MUTANTS_TARGET:-$root/target/mutants}"
# Every mutant falls to far fewer random blocks than the tests try by themselves.
export PLEACH_CASES="${PLEACH_CASES:-600}"
# Seconds after which a run of the tests is stopped.
limit="${PLEACH_LIMIT:-900}"
# The engine alone is compiled anew for each mutant, in as far as it differs from the last: quickly
# rather than well.
export CARGO_INCREMENTAL=1
quick=(--config 'profile.release.package.pleach-engine.opt-level=1')

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for patch in "$here"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

tests_of() {
  case "$1" in
    scheduler-*) tests=(-p pleach-scheduler) ;;
    *) tests=(-p pleach-engine --lib --test properties) ;;
  esac
}

# Compiles the scratch copy's tests, or says why it cannot.
build() {
  if ! (cd "$scratch" && cargo test --release --offline "${quick[@]}" "${tests[@]}" \
    --no-run >"$log" 2>&1); then
    echo "$1: does not compile"
    tail -n 20 "$log"
    exit 2
  fi
}

# A scheduler that has lost a transaction may never end; no test of its own tells.
passes() {
  (cd "$scratch" && timeout "$limit" cargo test --release --offline --no-fail-fast \
    "${quick[@]}" "${tests[@]}" >"$log" 2>&1)
}

failed() { sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | sort; }

tar -C "$root" --exclude=./target --exclude=./.git -cf - . | tar -C "$scratch" -xf -
# What the last run broke is compiled anew.
find "$scratch"/{engine,scheduler} -name '*.rs' -exec touch {} +
log="$scratch/unbroken.log"
for kind in $(printf '%s\n' "${names[@]}" | sed 's/^scheduler-.*/scheduler-/; t; s/.*/engine/' | sort -u)
do
  tests_of "$kind"
  build "unbroken"
  if ! passes; then
    echo "unbroken: fails, so that nothing can be told: $(failed | paste -sd ' ')"
    exit 2
  fi
done

survivors=0
for name in "${names[@]}"; do
  log="$scratch/$name.log"
  if ! patch -d "$scratch" -p1 -s --fuzz=3 <"$here/$name.patch"; then
    echo "$name: the patch does not apply any more; make it anew"
    exit 2
  fi
  tests_of "$name"
  build "$name"
  if passes; then
    echo "$name: SURVIVED"
    survivors=$((survivors + 1))
  else
    echo "$name: caught by $(failed | wc -l) tests: $(failed | head -n 4 | paste -sd ' ')"
  fi
  patch -d "$scratch" -p1 -s -R --fuzz=3 <"$here/$name.patch"
done
echo "$survivors survived"
[ "$survivors" -eq 0 ]
