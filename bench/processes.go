package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process that was started here.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// startChild runs a program, as another user if one is named; what it says goes to a file in dir.
func startChild(dir, as, program string, args ...string) (*child, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd, err := command(as, program, args...)
	if err != nil {
		return nil, err
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(c.exited) }() // ends with the process, which stop ends
	return c, nil
}

// command is a program that runs as another user, if this is root and PostgreSQL wouldn't.
func command(as, program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(program, args...)
	if os.Getuid() != 0 || as == "" {
		return cmd, nil
	}
	uid, gid, err := numbersOf(as)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	return cmd, nil
}

func numbersOf(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), err
}

// makeDir makes a directory that belongs to the user who will run there.
func makeDir(parent, name, as string) (string, error) {
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if os.Getuid() != 0 || as == "" {
		return dir, nil
	}
	uid, gid, err := numbersOf(as)
	if err != nil {
		return "", err
	}
	return dir, os.Chown(dir, int(uid), int(gid))
}

// stop asks a process to end with a signal, and waits.
func (c *child) stop(with os.Signal) error {
	_ = c.cmd.Process.Signal(with) // it may have ended by itself
	select {
	case <-c.exited:
		return nil
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("%s did not stop within %v", c.cmd.Path, patience)
	}
}

// freePorts finds loopback ports that nobody uses at the moment.
func freePorts(count int) ([]int, error) {
	var ports []int
	var held []io.Closer
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// until tries again and again until it works or patience ends.
func until(try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tick is the unit of CPU time in /proc: a hundredth of a second on every Linux.
const tick = 10 * time.Millisecond

// cpuOf is the CPU time of processes and all below them, as far as they live; zero where there is no /proc.
func cpuOf(roots []int) (sum time.Duration) {
	parents, times := readProc()
	for pid, used := range times {
		for at := pid; at > 1; at = parents[at] {
			if slices.Contains(roots, at) {
				sum += used
				break
			}
		}
	}
	return sum
}

func readProc() (parents map[int]int, times map[int]time.Duration) {
	parents, times = map[int]int{}, map[int]time.Duration{}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return parents, times
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if parent, used, err := parseStat(string(text)); err == nil {
			parents[pid], times[pid] = parent, used
		}
	}
	return parents, times
}

// parseStat reads a line of /proc/PID/stat: its parent, and what it has used itself.
func parseStat(line string) (parent int, used time.Duration, err error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, errors.New("too short")
	}
	var numbers [3]int
	for i, field := range []int{1, 11, 12} { // ppid, utime, stime
		if numbers[i], err = strconv.Atoi(fields[field]); err != nil {
			return 0, 0, err
		}
	}
	return numbers[0], time.Duration(numbers[1]+numbers[2]) * tick, nil
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text))[:1], " ")
}
