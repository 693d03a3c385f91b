package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

const promiseMemory = "the memory of a server stays within its bound"

// watchMemory looks at the resident memory of every server once a second, until ctx ends.
func (c *cluster) watchMemory(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, s := range c.servers {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
			if err != nil {
				continue // it is down, or there is no such file system
			}
			if why := s.holds(residentBytes(status)); why != "" {
				c.j.fail(promiseMemory, "%s", why)
			}
		}
	}
}

// holds notes how much memory the server has, and judges it.
func (s *server) holds(bytes int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rssPeak = max(s.rssPeak, bytes)
	if bytes > s.rssMax {
		return fmt.Sprintf("node %d holds %d MiB, the bound is %d", s.id, bytes>>20, s.rssMax>>20)
	}
	return ""
}

// residentBytes reads the line "VmRSS:  123 kB"; zero without one, as of a process that is just ending.
func residentBytes(status []byte) int64 {
	for line := range bytes.Lines(status) {
		if rest, is := bytes.CutPrefix(line, []byte("VmRSS:")); is {
			kb, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
