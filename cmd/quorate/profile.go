package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// startProfile writes a CPU profile of this process to dir/name.cpu.pprof until stop, which adds the allocations of the whole life of the
// process in dir/name.allocs.pprof. An empty dir writes nothing.
func startProfile(dir, name string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, misconfigured(fmt.Errorf("--profile: %w", err))
	}
	base := filepath.Join(dir, name)
	cpu, err := os.Create(base + ".cpu.pprof")
	if err != nil {
		return nil, misconfigured(fmt.Errorf("--profile: %w", err))
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("--profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		err := errors.Join(cpu.Close(), writeAllocations(base+".allocs.pprof"))
		if err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
		return nil
	}, nil
}

func writeAllocations(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	runtime.GC() // the profile tells of what was allocated before the last collection
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
