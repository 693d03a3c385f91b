package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// eventsKept is how many of the last events a failure prints.
const eventsKept = 60

// violation is a broken promise.
type violation struct {
	promise string // positively, as docs/chaos.md lists them
	detail  string
}

func (v *violation) Error() string { return v.promise + ": " + v.detail }

func isViolation(err error) bool {
	_, is := err.(*violation)
	return is
}

// journal is what happens in a run, in order: on stderr, in a file, and the end of it in memory.
type journal struct {
	began time.Time
	stop  func() // ends the run; called with the first violation

	mu    sync.Mutex // guards the rest
	out   io.Writer
	file  *os.File
	last  []string
	first *violation // nil: none so far
}

func newJournal(out io.Writer, path string, stop func()) (*journal, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("the journal of the run: %w", err)
	}
	return &journal{began: time.Now(), out: out, file: file, stop: stop}, nil
}

// now is the time of the run, by which everything is ordered: monotonic, in nanoseconds.
func (j *journal) now() int64 { return int64(time.Since(j.began)) }

// note tells what has happened.
func (j *journal) note(format string, args ...any) {
	line := fmt.Sprintf("%7.1fs  %s", time.Since(j.began).Seconds(), fmt.Sprintf(format, args...))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = append(j.last, line)
	if len(j.last) > eventsKept {
		j.last = j.last[1:]
	}
	fmt.Fprintln(j.out, line)
	fmt.Fprintln(j.file, line)
}

// fail takes down a broken promise and ends the run. Only the first one counts: the rest may follow from it.
func (j *journal) fail(promise, format string, args ...any) {
	v := &violation{promise, fmt.Sprintf(format, args...)}
	j.note("BROKEN PROMISE: %s", v)
	j.mu.Lock()
	if j.first == nil {
		j.first = v
	}
	j.mu.Unlock()
	j.stop()
}

func (j *journal) broken() *violation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.first
}

func (j *journal) lastEvents() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.last...)
}
