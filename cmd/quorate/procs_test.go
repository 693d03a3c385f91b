package main

import (
	"fmt"
	"runtime"
	"testing"
)

func TestAServerHasEnoughProcs(t *testing.T) {
	for _, c := range []struct{ cpus, now, want int }{{1, 1, 4}, {2, 2, 4}, {4, 4, 4}, {16, 16, 16}, {2, 1, 1}, {16, 2, 2}} {
		if got := procs(c.cpus, c.now); got != c.want {
			t.Errorf("%d processors, %d threads: %d, want %d", c.cpus, c.now, got, c.want)
		}
	}
}

func TestWhoSetsGOMAXPROCSHasDecided(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	cpus := runtime.NumCPU()
	for set, want := range map[string]int{"": procs(cpus, cpus), fmt.Sprint(cpus): cpus} {
		runtime.GOMAXPROCS(cpus)
		t.Setenv("GOMAXPROCS", set)
		if enoughProcs(); runtime.GOMAXPROCS(0) != want {
			t.Errorf("GOMAXPROCS=%q: %d threads, want %d", set, runtime.GOMAXPROCS(0), want)
		}
	}
}
