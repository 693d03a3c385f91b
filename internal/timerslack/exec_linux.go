package timerslack

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Exec starts the program anew in the same process, with Slack and all its arguments, and so doesn't return. It returns if that is so already, isn't
// wanted, or can't be. It is for the beginning of a program, before anything of it is there that an exec would take away.
//
// A thread can choose its own slack only and gives it to the threads that it begins; the monitor is there before a program's first line. But the kernel keeps
// it across an exec (prctl(2), PR_SET_TIMERSLACK).
func Exec() {
	if os.Getenv(Variable) != "" {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if now, err := Now(); err != nil || now >= Slack {
		return
	}
	program, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Slack), 0, 0, 0) != nil {
		return
	}
	_ = unix.Exec(program, os.Args, append(os.Environ(), fmt.Sprintf("%s=%v", Variable, Slack))) // it returned: the program goes on as it is
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)                                           // this thread, too
}

// Now is the slack of the thread that it runs on.
func Now() (time.Duration, error) {
	nanoseconds, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(nanoseconds), err
}
