package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// process is one that the bench watches. Only Linux tells what another process has used; elsewhere usage stays empty.
type process struct {
	name string
	pid  int
}

// usage is what a process has used since it started.
type usage struct {
	user, system time.Duration
	written      uint64 // bytes on their way to a disk
	peakMemory   uint64 // bytes
}

// tick is the unit of CPU time in /proc: a hundredth of a second on every Linux.
const tick = 10 * time.Millisecond

// usageOf reads all processes, and this one last.
func usageOf(processes []process) ([]usage, error) {
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	var all []usage
	for _, p := range append(processes[:len(processes):len(processes)], process{name: "load", pid: os.Getpid()}) {
		u, err := readUsage(p.pid)
		if err != nil {
			return nil, fmt.Errorf("read what %s has used: %w", p.name, err)
		}
		all = append(all, u)
	}
	return all, nil
}

func readUsage(pid int) (usage, error) {
	var texts [3]string
	for i, file := range []string{"stat", "io", "status"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return usage{}, err
		}
		texts[i] = string(text)
	}
	return parseUsage(texts[0], texts[1], texts[2])
}

// parseUsage reads /proc/PID/stat, io and status. The name in stat may hold anything; what follows its last parenthesis is numbers.
func parseUsage(stat, io, status string) (u usage, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const userField, systemField = 11, 12 // utime and stime, counted from the state
	if len(fields) <= systemField {
		return usage{}, fmt.Errorf("stat has %d fields", len(fields))
	}
	user, err := strconv.ParseInt(fields[userField], 10, 64)
	if err != nil {
		return usage{}, err
	}
	system, err := strconv.ParseInt(fields[systemField], 10, 64)
	if err != nil {
		return usage{}, err
	}
	written, err := procNumber(io, "write_bytes:")
	if err != nil {
		return usage{}, err
	}
	cancelled, err := procNumber(io, "cancelled_write_bytes:")
	if err != nil {
		return usage{}, err
	}
	peak, err := procNumber(status, "VmHWM:")
	return usage{user: time.Duration(user) * tick, system: time.Duration(system) * tick, written: written - min(cancelled, written), peakMemory: peak << 10}, err
}

// procNumber finds the number of a line "name: number …".
func procNumber(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseUint(append(strings.Fields(rest), "")[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// loadAverage is how busy the machine was, in runnable processes over 1, 5 and 15 minutes; empty if it isn't told.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// processorName is the model of the processor; empty if it isn't told.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
		}
	}
	return ""
}
