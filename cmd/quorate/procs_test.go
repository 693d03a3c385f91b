package main

import (
	"runtime"
	"testing"
)

func TestAServerHasEnoughProcs(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "2")
	if enoughProcs(); runtime.GOMAXPROCS(0) != 2 {
		t.Error("GOMAXPROCS is overruled")
	}
	t.Setenv("GOMAXPROCS", "")
	if enoughProcs(); runtime.GOMAXPROCS(0) != procsMin {
		t.Errorf("%d procs on a small machine, want %d", runtime.GOMAXPROCS(0), procsMin)
	}
	runtime.GOMAXPROCS(8)
	if enoughProcs(); runtime.GOMAXPROCS(0) != 8 {
		t.Errorf("%d procs on a large machine, want 8", runtime.GOMAXPROCS(0))
	}
}
