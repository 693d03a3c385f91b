package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Garbage is a fifth of what a transfer costs while little lives: Go collects whenever the heap has doubled, and that is soon. So a server
// lets garbage grow to garbageBytes beside what lives, as far as that is between once and four times as much. What lives rises and falls with
// each checkpoint, so it is looked at often: a percentage for less would let the heap grow into memory that was never touched.
const (
	garbageBytes      = 128 << 20
	garbagePercentMin = 100
	garbagePercentMax = 400
	garbageLookEvery  = time.Second
)

// paceGarbage follows the live heap until stop. Who sets GOGC has decided otherwise.
func paceGarbage(stop <-chan struct{}) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := garbagePercentMax
	debug.SetGCPercent(percent)
	look := time.NewTicker(garbageLookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-stop:
			return
		}
		metrics.Read(live)
		if next := garbagePercent(live[0].Value.Uint64()); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
	}
}

func garbagePercent(liveBytes uint64) int {
	return int(min(max(garbageBytes*100/max(liveBytes, 1), garbagePercentMin), garbagePercentMax))
}
