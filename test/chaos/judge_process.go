package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

const promiseProcess = "a server ends only when it is killed or asked to"

// judgeExit says what is wrong with the end of a process; empty: nothing. One that hasn't said a word yet may not have begun to listen to signals: SIGTERM ends it, and
// nothing is lost.
func judgeExit(err error, expected string, silent bool) string {
	var exit *exec.ExitError
	var by syscall.Signal
	if errors.As(err, &exit) {
		if status, is := exit.Sys().(syscall.WaitStatus); is && status.Signaled() {
			by = status.Signal()
		}
	}
	killed := by == syscall.SIGKILL
	switch {
	case expected == endAsked && silent && by == syscall.SIGTERM:
		return ""
	case expected == endKilled && (killed || err == nil): // it may have been about to stop
		return ""
	case expected == endAsked && err == nil:
		return ""
	case expected == "":
		return fmt.Sprintf("it ended by itself: %v", describeExit(err))
	}
	return fmt.Sprintf("it was %s and ended otherwise: %v", expected, describeExit(err))
}

func describeExit(err error) string {
	if err == nil {
		return "exit code 0"
	}
	return err.Error()
}

// alarms are what no server may ever say.
var alarms = []struct{ text, why string }{
	{"panic: ", "a panic"},
	{"fatal error: ", "the runtime gave up"},
	{"WARNING: DATA RACE", "a data race"},
	{"invariant", "an invariant is broken"},
	{"request handler panicked", "a panic"},
}

// alarming says why a line of a server's log is a broken promise; empty: it isn't.
func alarming(line string) string {
	for _, a := range alarms {
		if strings.Contains(line, a.text) {
			return a.why
		}
	}
	return ""
}
