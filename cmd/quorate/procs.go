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
	if want := procs(runtime.NumCPU(), now, os.Getenv("GOMAXPROCS")); want != now {
		runtime.GOMAXPROCS(want)
	}
}

// procs is how many a server should have, that has so many now and was told to have so many. Fewer than the machine's processors were given by a container's quota, which more
// threads would only use up sooner: then all of them stand still until the next period.
func procs(cpus, now int, told string) int {
	if now == cpus && told == "" {
		return max(now, procsMin)
	}
	return now
}
