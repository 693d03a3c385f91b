package main

import (
	"os/exec"
	"runtime"
	"syscall"
)

// starter starts processes, all from one thread that lives as long as this process: a process started with
// Pdeathsig ends with the thread that started it.
var starter = func() chan func() {
	work := make(chan func())
	go func() { // ends with the process
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
}()

// endWithUs has a process end with this one, however this one ends.
// It isn't told when somebody presses ctrl-C here.
func endWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func startHere(cmd *exec.Cmd) error {
	done := make(chan error)
	starter <- func() { done <- cmd.Start() }
	return <-done
}
