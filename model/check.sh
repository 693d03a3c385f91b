#!/usr/bin/env bash
# Has SPIN look at every state of the commit protocol's model, and find the fault in each of its mutants. Prints a
# line for each; fails if one isn't as it should be. README.md says what the lines mean.
#
#   model/check.sh             about a minute on two idle cores, less than 1 GB
#   model/check.sh long        larger worlds instead of mutants: minutes, one at a time, less than 2 GB
#   model/check.sh trail NAME  the shortest way to what a mutant does, or to a state that must be reachable
set -euo pipefail
cd "$(dirname "$0")"
readonly model=$PWD/commit.pml

fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

command -v spin >/dev/null || fail "spin is missing; on Debian: apt-get install spin"
command -v gcc >/dev/null || fail "gcc is missing; SPIN compiles what it checks; on Debian: apt-get install gcc libc6-dev"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

jobs_max=2
mb_max=900 # for each job

# The model itself is the list of what there is to break and to reach.
rules() { sed -n 's/^#define \([A-Z_]*\) *[0-9]* \/\* .*/\1/p' <(sed -n '/^\/\* The rules/,/^#ifndef WITHOUT/p' "$model"); }
witnesses() { sed -n 's/^#define \([A-Z_]*\) .*/\1/p' <(sed -n '/^\/\* What must be reachable/,/^\/\* ==/p' "$model"); }

# The smallest world that shows the fault.
world_of() {
	case $1 in
	HOLD_*) echo "-DREIGNS=2 -DCONTENTS=1 -DHOLD" ;;
	*CONTENT* | *LEG*) echo "-DREIGNS=3 -DCONTENTS=2" ;;
	*) echo "-DREIGNS=2 -DCONTENTS=1" ;;
	esac
}

# build FOLDER "MODEL FLAGS" "C FLAGS": a program that looks at every state.
build() {
	mkdir -p "$1"
	cd "$1"
	cp "$model" .
	# shellcheck disable=SC2086 # flags are words
	spin -a $2 commit.pml >spin.log 2>&1 || fail "spin -a $2: $(cat spin.log)"
	# No partial order reduction: these worlds are small enough to do without its assumptions.
	# shellcheck disable=SC2086
	gcc -w -DNOREDUCE -DMEMLIM=$mb_max $3 -o pan pan.c || fail "gcc can't compile what spin -a $2 has written"
}

states() { sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log | head -1; }
depth() { sed -n 's/^pan:1: .*(at depth \([0-9]*\))$/\1/p' pan.log | head -1; }
broken() { sed -n 's/^pan:1: assertion violated *\(.*\) (at depth [0-9]*)$/\1/p; s/^pan:1: \(acceptance cycle\).*/\1/p' pan.log | tr -d '!()' | head -1; }

# The steps of the error that was found, as the model tells them.
story() {
	# shellcheck disable=SC2086
	spin -t -T $1 commit.pml 2>/dev/null | sed -n '/^spin: \|^#processes/q; /^ltl \|^Never \|<<<<</d; s/^ */    /p' || true
}

line() { printf '%-8s %-58s %9s states %4d s\n' "$1" "$2" "$(states)" "$SECONDS"; }

# Nothing may be wrong, and nothing may have been left out.
is_clean() { grep -q 'errors: 0$' pan.log && ! grep -qE 'Search not completed|max search depth too small|out of memory' pan.log; }

# expect_clean NAME "MODEL FLAGS" "C FLAGS" "PAN FLAGS"
expect_clean() {
	SECONDS=0
	build "$scratch/${1//[ ,]/_}" "$2" "-O2 $3"
	# shellcheck disable=SC2086
	./pan -m20000 $4 >pan.log 2>&1 || true
	if is_clean; then
		line ok "$1"
		return
	fi
	line FAILED "$1: $(broken)"
	if [ -f commit.pml.trail ]; then story "$2"; else tail -n 40 pan.log; fi
	touch "$scratch/failed"
}

# expect_found WORD NAME "MODEL FLAGS": breadth first, so that the way to it is the shortest.
expect_found() {
	SECONDS=0
	build "$scratch/$2" "$3" "-O0 -DSAFETY -DBFS"
	./pan -w20 >pan.log 2>&1 || true
	if [ "$1" = reached ] && [ "$(broken)" = reached ]; then
		line reached "$2, in $(depth) steps"
	elif [ "$1" = found ] && [ -n "$(broken)" ]; then
		line found "$2: $(broken), in $(depth) steps"
	else
		line FAILED "$2: not $1"
		tail -n 20 pan.log
		touch "$scratch/failed"
	fi
}

# expect_endless NAME: the fault must show as a run in which something never ends.
expect_endless() {
	SECONDS=0
	build "$scratch/$1-ends" "-DEVENTUALLY $(world_of "$1") -DWITHOUT=$1" "-O0 -DNOFAIR"
	./pan -a -w20 -m20000 >pan.log 2>&1 || true
	if [ "$(broken)" = "acceptance cycle" ]; then
		line found "$1: not everything ends"
	else
		line FAILED "$1: everything ends all the same"
		tail -n 20 pan.log
		touch "$scratch/failed"
	fi
}

# A search that was cut short must not pass for a whole one. NAME, SPIN's word for it, "C FLAGS", "PAN FLAGS"
expect_cut_short() {
	SECONDS=0
	build "$scratch/${1// /_}" "-DREIGNS=2" "-O0 -DSAFETY $3"
	# shellcheck disable=SC2086
	./pan $4 >pan.log 2>&1 || true
	if grep -q "$2" pan.log && ! is_clean; then
		line noticed "a search that is cut short: $1"
		return
	fi
	line FAILED "a search that is cut short would pass for a whole one: $1"
	tail -n 40 pan.log
	touch "$scratch/failed"
}

# start COMMAND...: in the background, as soon as there is room.
start() {
	while [ "$(jobs -rp | wc -l)" -ge "$jobs_max" ]; do wait -n || true; done
	("$@") || touch "$scratch/failed" &
}

check_promises() {
	start expect_clean "promises: $1 reigns, $2 contents${3:+, a hold}" "-DREIGNS=$1 -DCONTENTS=$2 ${3:-}" "-DSAFETY" ""
}

check_ends() {
	start expect_clean "everything ends: $1 reigns, $2 contents${3:+, a hold}" "-DEVENTUALLY -DREIGNS=$1 -DCONTENTS=$2 ${3:-}" "-DNOFAIR" "-a"
}

# The world in which a state must be reachable.
world_to() {
	case $1 in
	HOLD_*) world_of "$1" ;;
	*) echo "-DREIGNS=2 -DCONTENTS=2" ;;
	esac
}

short() {
	[ "$(rules | wc -l)" -ge 27 ] || fail "the rules in commit.pml can't be read any more"
	[ "$(witnesses | wc -l)" -ge 10 ] || fail "the states that must be reachable can't be read from commit.pml any more"
	check_promises 3 3
	check_ends 3 2
	check_promises 3 1 -DHOLD
	check_ends 3 1 -DHOLD
	for name in $(witnesses); do
		start expect_found reached "$name" "$(world_to "$name") -DWITNESS=$name"
	done
	for name in $(rules); do
		start expect_found found "$name" "$(world_of "$name") -DWITHOUT=$name"
	done
	for name in DECIDED_IS_DRIVEN BANKS_INQUIRE HOLD_IS_DRIVEN; do
		start expect_endless "$name"
	done
	start expect_cut_short "too deep" "max search depth too small" "" "-m20"
	start expect_cut_short "too much memory" "reached -DMEMLIM bound" "-UMEMLIM -DMEMLIM=1" "-w10"
}

long() {
	jobs_max=1
	mb_max=1900
	check_promises 4 1
	check_ends 3 3
}

trail() {
	local flags
	if rules | grep -qx -- "$1"; then
		flags="$(world_of "$1") -DWITHOUT=$1"
	elif witnesses | grep -qx -- "$1"; then
		flags="$(world_to "$1") -DWITNESS=$1"
	else
		fail "there is no $1; there are: $(rules | xargs) $(witnesses | xargs)"
	fi
	expect_found found "$1" "$flags"
	cd "$scratch/$1"
	story "$flags"
}

case ${1:-short} in
short) short ;;
long) long ;;
trail) trail "${2:-}" ;;
*) fail "usage: model/check.sh [long | trail NAME]" ;;
esac
wait
[ ! -e "$scratch/failed" ] || fail "the model isn't as it should be"
