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
	if procs := runtime.GOMAXPROCS(0); procs < procsMin && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(procsMin)
	}
}
