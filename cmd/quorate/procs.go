package main

import (
	"os"
	"runtime"
)

// procsMin is how many threads of a server may run Go code at once, also on a smaller machine. With two, one that collects garbage and one that writes
// a checkpoint keep the loop waiting for a time slice of Go's scheduler, 10 ms; the kernel's are shorter.
const procsMin = 4

// enoughProcs is for a server. Who sets GOMAXPROCS has decided otherwise.
func enoughProcs() {
	now := runtime.GOMAXPROCS(0)
	if want := procs(runtime.NumCPU(), now); want != now && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(want)
	}
}

// procs is how many a server should have, that has so many now. Fewer than the machine's processors were given by a container's quota, which more threads would only use up
// sooner: then all of them stand still until the next period.
func procs(cpus, now int) int {
	if now == cpus {
		return max(now, procsMin)
	}
	return now
}
