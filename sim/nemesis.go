package sim

import (
	"math/rand/v2"
	"time"
)

// nemesis brings the faults, one after another, and takes most of them back after a while.
type nemesis struct {
	w   *world
	rng *rand.Rand
}

func newNemesis(w *world) *nemesis { return &nemesis{w: w, rng: stream(w.cfg.Seed, streamNemesis)} }

func (n *nemesis) begin() {
	if n.w.faults.MeanTimeToFault > 0 {
		n.w.after(n.pauseBetween(), n.strike)
	}
}

func (n *nemesis) pauseBetween() time.Duration {
	return time.Duration(n.rng.ExpFloat64() * float64(n.w.faults.MeanTimeToFault))
}

func (n *nemesis) downtime() time.Duration {
	if n.rng.IntN(4) == 0 {
		return time.Duration(n.rng.Int64N(int64(4 * time.Second)))
	}
	return time.Duration(n.rng.Int64N(int64(300 * time.Millisecond)))
}

// strike chooses one fault by weight.
func (n *nemesis) strike() {
	if n.w.calm {
		return
	}
	f := n.w.faults
	choices := []struct {
		weight int
		do     func(*host)
	}{
		{f.Crash, n.crash}, {f.CrashAll, n.crashAll}, {f.Pause, n.pause}, {f.Partition, n.partition}, {f.OneWay, n.oneWay},
		{f.SlowDisk, n.slowDisk}, {f.StalledDisk, n.stalledDisk}, {f.ClockJump, n.clockJump},
		{f.Eclipse, n.eclipse}, {f.LostDisk, n.lostDisk},
	}
	sum := 0
	for _, c := range choices {
		sum += c.weight
	}
	if sum == 0 {
		return
	}
	n.w.counts.Faults++
	victim := n.w.hosts[n.rng.IntN(len(n.w.hosts))]
	at := n.rng.IntN(sum)
	for _, c := range choices {
		if at -= c.weight; at < 0 {
			c.do(victim)
			break
		}
	}
	n.w.after(n.pauseBetween(), n.strike)
}

func (n *nemesis) crash(h *host) {
	h.crash("")
	n.w.after(n.downtime(), h.restart)
}

// lostDisk crashes a node and damages what it remembers of one group.
func (n *nemesis) lostDisk(h *host) {
	h.crash("and loses data")
	h.disk.lose(n.w.shape.places())
	n.w.after(n.downtime(), h.restart)
}

// crashAll is a power cut.
func (n *nemesis) crashAll(*host) {
	for _, h := range n.w.hosts {
		h.crash("with all")
		n.w.after(n.downtime(), h.restart)
	}
}

func (n *nemesis) pause(h *host) { h.freeze(n.w.now + n.downtime()) }

// partition parts the nodes in two, at random.
func (n *nemesis) partition(*host) {
	side := make([]bool, len(n.w.hosts)+1)
	for i := range side {
		side[i] = n.rng.IntN(2) == 0
	}
	for from, row := range n.w.net.cut {
		for to := range row {
			if side[from] != side[to] {
				row[to] = true
			}
		}
	}
	n.w.trace.note(n.w.now, "partition", 0, 0, side, 0)
	n.w.after(n.downtime(), n.w.net.heal)
}

func (n *nemesis) oneWay(h *host) {
	to := n.w.hosts[n.rng.IntN(len(n.w.hosts))]
	n.w.net.cut[h.id][to.id] = true
	n.w.trace.note(n.w.now, "one way cut", h.id, to.id, nil, 0)
	n.w.after(n.downtime(), n.w.net.heal)
}

// eclipse freezes a node and cuts it off for longer: when it wakes up, it may still believe that it leads.
func (n *nemesis) eclipse(h *host) {
	frozen := time.Duration(n.rng.Int64N(int64(2 * time.Second)))
	for _, other := range n.w.hosts {
		n.w.net.cut[h.id][other.id], n.w.net.cut[other.id][h.id] = true, true
	}
	h.freeze(n.w.now + frozen)
	n.w.after(frozen+time.Duration(n.rng.Int64N(int64(2*time.Second))), n.w.net.heal)
}

func (n *nemesis) slowDisk(h *host) { h.disk.slow = n.w.now + n.downtime() }

func (n *nemesis) stalledDisk(h *host) { h.disk.stalled = n.w.now + n.downtime() }

func (n *nemesis) clockJump(h *host) {
	h.clock.jump(time.Duration(n.rng.Int64N(int64(3 * time.Second))))
}

// end heals what can be healed: from here on, everything must settle.
func (n *nemesis) end() {
	n.w.calm = true
	n.w.trace.note(n.w.now, "calm", 0, 0, nil, 0)
	f := *n.w.faults
	f.Loss, f.Duplication, f.Reordering, f.DamagedChunk, f.LostAnswers, f.Impatience = 0, 0, 0, 0, 0, 0
	n.w.faults = &f
	n.w.net.heal()
	for _, h := range n.w.hosts {
		h.disk.slow, h.disk.stalled = 0, n.w.now
		h.restart()
	}
}
