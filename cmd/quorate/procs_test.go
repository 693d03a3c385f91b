package main

import (
	"runtime"
	"testing"
)

func TestAServerHasEnoughProcs(t *testing.T) {
	for _, c := range []struct {
		cpus, now int
		told      string
		want      int
	}{{1, 1, "", 4}, {2, 2, "", 4}, {4, 4, "", 4}, {16, 16, "", 16}, {16, 2, "", 2}, {2, 2, "2", 2}, {2, 8, "8", 8}} {
		if got := procs(c.cpus, c.now, c.told); got != c.want {
			t.Errorf("%d processors, %d threads, told %q: %d, want %d", c.cpus, c.now, c.told, got, c.want)
		}
	}
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "")
	runtime.GOMAXPROCS(runtime.NumCPU())
	if enoughProcs(); runtime.GOMAXPROCS(0) < procsMin {
		t.Errorf("%d threads", runtime.GOMAXPROCS(0))
	}
}
