package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is one `quorate server`: a process at a time, each one the successor of the one before on the same data.
type server struct {
	j      *journal
	id     uint64
	config string
	data   string // its directory
	log    string
	disk   *disk
	rssMax int64

	mu        sync.Mutex // guards the rest
	program   string
	cmd       *exec.Cmd     // nil: not running
	gone      chan struct{} // closed when cmd has ended and its log is written
	expected  string        // why this process may end; empty: it may not
	damaged   bool          // a file of it was damaged once: it may end by itself when it comes by
	staysDown bool          // if it ends so it isn't started again
	over      bool          // no process follows any more
	starts    int
	rssPeak   int64
	lastLog   []string
}

// logLinesKept is how much of a server's log a failure prints.
const logLinesKept = 12

// start starts a process, unless there is one.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked()
}

func (s *server) startLocked() error {
	if s.cmd != nil || s.over {
		return nil
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log of node %d: %w", s.id, err)
	}
	cmd := exec.Command(s.program, "server", "--config", s.config)
	cmd.SysProcAttr = endWithUs()
	words, err := cmd.StderrPipe()
	if err == nil {
		err = startHere(cmd)
	}
	if err != nil {
		_ = log.Close() // empty
		return fmt.Errorf("start node %d: %w", s.id, err)
	}
	s.cmd, s.gone, s.expected = cmd, make(chan struct{}), ""
	s.starts++
	go s.watch(cmd, words, log, s.gone) // ends with the process, which kill and term wait for
	return nil
}

// watch copies what a process says, and judges how it ends.
func (s *server) watch(cmd *exec.Cmd, words io.Reader, log *os.File, gone chan<- struct{}) {
	lines := bufio.NewScanner(words)
	lines.Buffer(nil, 1<<20)
	silent := true
	for lines.Scan() {
		line := lines.Text()
		silent = false
		fmt.Fprintln(log, line)
		s.remember(line)
		if why := alarming(line); why != "" {
			s.j.fail(promiseProcess, "node %d: %s: %s", s.id, why, line)
		}
	}
	_, _ = io.Copy(log, words) // after a line that is too long
	err := cmd.Wait()
	_ = log.Close() // it is for people
	s.mu.Lock()
	expected, found := s.expected, s.damaged && cmd.ProcessState.ExitCode() == exitDamaged
	s.cmd = nil
	if found && expected == "" && !s.staysDown {
		s.j.note("node %d: ended with exit code %d, and is started again", s.id, exitDamaged)
		if err := s.startLocked(); err != nil {
			s.j.note("%v", err)
		}
	}
	s.mu.Unlock()
	if verdict := judgeExit(err, expected, silent); verdict != "" && !found {
		s.j.fail(promiseProcess, "node %d: %s\n%s", s.id, verdict, strings.Join(s.lastWords(), "\n"))
	}
	close(gone)
}

func (s *server) remember(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastLog = append(s.lastLog, line); len(s.lastLog) > logLinesKept {
		s.lastLog = s.lastLog[1:]
	}
}

func (s *server) lastWords() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lastLog...)
}

// signal sends a signal and says what ends by it may be; expected is empty for one that ends nothing.
func (s *server) signal(sig syscall.Signal, expected string) (gone <-chan struct{}, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil, false
	}
	if expected != "" {
		s.expected = expected
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.j.note("node %d: %v: %v", s.id, sig, err)
	}
	return s.gone, true
}

// How a process may end.
const (
	endKilled = "killed"
	endAsked  = "asked to stop"
)

// kill sends SIGKILL and waits until the process is gone.
func (s *server) kill(why string) {
	if gone, running := s.signal(syscall.SIGKILL, endKilled); running {
		<-gone
		s.j.note("node %d: killed, %s", s.id, why)
	}
}

// stopPatience is longer than a server gives the requests in flight.
const stopPatience = 60 * time.Second

// ask sends SIGTERM and waits until the process has stopped by itself.
func (s *server) ask() {
	gone, running := s.signal(syscall.SIGTERM, endAsked)
	if !running {
		return
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		s.j.fail(promiseProcess, "node %d doesn't stop within %v of SIGTERM", s.id, stopPatience)
		s.kill("it didn't stop")
	}
}

// pid is zero while the server is down.
func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// use makes the next process run another program; false: it does so already.
func (s *server) use(program string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.program != program
	s.program = program
	return changed
}

// spoilt says that a file of the server has been damaged.
func (s *server) spoilt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = true
}

// stayDown says whether a server that ends by itself because of damage isn't started again at once.
func (s *server) stayDown(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staysDown = yes
}

// end is the last kill.
func (s *server) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.kill("the run is over")
}
