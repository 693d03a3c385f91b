//go:build unix

package main

import "syscall"

// filesLimit is how many files this process may open, connections among them; 0 if nobody knows. Go has raised it to what the system allows.
func filesLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
