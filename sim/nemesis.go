package sim

import (
	"math/rand/v2"
	"time"
)

// nemesis brings the faults, one after another, and takes most of them back after a while. Each strike has dice of its own, so that
// the others stay the same without it.
type nemesis struct {
	w   *world
	rng *rand.Rand // of the times between strikes
}

// blow is one strike: whom it hits, and its dice.
type blow struct {
	*nemesis
	rng *rand.Rand
	h   *host
}

func newNemesis(w *world) *nemesis { return &nemesis{w: w, rng: stream(w.cfg.Seed, streamNemesis)} }

func (n *nemesis) begin() {
	for range n.w.faults.Quiet {
		begin := time.Duration(n.rng.Int64N(int64(n.w.cfg.duration())))
		length := time.Duration(n.rng.Int64N(int64(2 * time.Second)))
		n.w.at(begin, n.hush)
		n.w.at(begin+length, n.resume)
	}
	if n.w.faults.MeanTimeToFault > 0 {
		n.w.after(n.pauseBetween(), n.strike)
	}
}

// hush begins a quiet phase: what goes on goes on, and nothing new goes wrong.
func (n *nemesis) hush() {
	if n.w.hushed++; n.w.hushed == 1 {
		n.w.stormy, n.w.faults = n.w.faults, n.w.faults.calmed()
	}
}

func (n *nemesis) resume() {
	if n.w.hushed--; n.w.hushed == 0 && !n.w.calm {
		n.w.faults = n.w.stormy
	}
}

func (n *nemesis) pauseBetween() time.Duration {
	return time.Duration(n.rng.ExpFloat64() * float64(n.w.faults.MeanTimeToFault))
}

// downtime is how long a fault lasts: mostly not for long.
func downtime(rng *rand.Rand) time.Duration {
	if rng.IntN(4) == 0 {
		return time.Duration(rng.Int64N(int64(4 * time.Second)))
	}
	return time.Duration(rng.Int64N(int64(300 * time.Millisecond)))
}

func (b *blow) downtime() time.Duration { return downtime(b.rng) }

// strike lets one fault happen, chosen by weight.
func (n *nemesis) strike() {
	if n.w.calm {
		return
	}
	n.w.after(n.pauseBetween(), n.strike)
	if n.w.hushed > 0 || !n.w.mischief.dare(strike, true) {
		return
	}
	rng := stream(n.w.cfg.Seed, streamStrikes+uint64(n.w.mischief.occasion[strike]))
	b := &blow{n, rng, n.w.hosts[rng.IntN(len(n.w.hosts))]}
	b.fall()
}

func (b *blow) fall() {
	f := b.w.faults
	choices := []struct {
		weight int
		do     func()
	}{
		{f.Crash, b.crash}, {f.CrashAll, b.crashAll}, {f.Pause, b.pause},
		{f.Partition, b.partition}, {f.OneWay, b.oneWay}, {f.Bridge, b.bridge}, {f.Ring, b.ring}, {f.Eclipse, b.eclipse},
		{f.SlowDisk, b.slowDisk}, {f.StalledDisk, b.stalledDisk}, {f.FailedSync, b.failedSync}, {f.FullDisk, b.fullDisk},
		{f.BitRot, b.bitRot}, {f.ClockJump, b.clockJump}, {f.LostDisk, b.lostDisk},
	}
	sum := 0
	for _, c := range choices {
		sum += c.weight
	}
	if sum == 0 {
		return
	}
	b.w.counts.Strikes++
	at := b.rng.IntN(sum)
	for _, c := range choices {
		if at -= c.weight; at < 0 {
			c.do()
			return
		}
	}
}

func (b *blow) crash() {
	b.h.crash("")
	b.w.after(b.downtime(), b.h.restart)
}

// lostDisk crashes a node and damages what it remembers of one group.
func (b *blow) lostDisk() {
	b.h.crash("and loses data")
	b.h.disk.lose(b.w.places())
	b.w.after(b.downtime(), b.h.restart)
}

// crashAll is a power cut.
func (b *blow) crashAll() {
	for _, h := range b.w.hosts {
		h.crash("with all")
		b.w.after(b.downtime(), h.restart)
	}
}

func (b *blow) pause() { b.h.freeze(b.w.now + b.downtime()) }

// part cuts every link between two nodes for which joined says no, and heals after a while.
func (b *blow) part(shape string, joined func(a, b int) bool) {
	for from, row := range b.w.net.cut {
		for to := range row {
			if from != to && !joined(from, to) {
				row[to] = true
			}
		}
	}
	b.w.trace.note(b.w.now, shape, 0, 0, nil, 0)
	b.w.after(b.downtime(), b.w.net.heal)
}

// sides puts every node on one of two, at random.
func (b *blow) sides() []bool {
	side := make([]bool, strangerID+1)
	for i := range side {
		side[i] = b.rng.IntN(2) == 0
	}
	return side
}

func (b *blow) partition() {
	side := b.sides()
	b.part("partition", func(a, b int) bool { return side[a] == side[b] })
}

func (b *blow) bridge() {
	side, middle := b.sides(), int(b.h.id)
	b.part("bridge", func(a, b int) bool { return side[a] == side[b] || a == middle || b == middle })
}

// ring: in a group of three of five nodes it may cut any of the pairs.
func (b *blow) ring() {
	place := b.rng.Perm(len(b.w.hosts))
	b.part("ring", func(from, to int) bool {
		if from == 0 || to == 0 || from > len(place) || to > len(place) {
			return true // there is no such node
		}
		distance := (place[from-1] - place[to-1] + len(place)) % len(place)
		return distance == 1 || distance == len(place)-1
	})
}

func (b *blow) oneWay() {
	to := b.w.hosts[b.rng.IntN(len(b.w.hosts))]
	b.w.net.cut[b.h.id][to.id] = true
	b.w.trace.note(b.w.now, "one way cut", b.h.id, to.id, nil, 0)
	b.w.after(b.downtime(), b.w.net.heal)
}

// eclipse freezes a node and cuts it off for longer: when it wakes up, it may still believe that it leads.
func (b *blow) eclipse() {
	frozen := time.Duration(b.rng.Int64N(int64(2 * time.Second)))
	for _, other := range b.w.hosts {
		b.w.net.cut[b.h.id][other.id], b.w.net.cut[other.id][b.h.id] = true, true
	}
	b.h.freeze(b.w.now + frozen)
	for range 4 {
		b.w.after(frozen+time.Duration(b.rng.Int64N(int64(500*time.Millisecond))), func() { b.w.traffic.askAbout(b.h, b.rng) })
	}
	b.w.after(frozen+time.Duration(b.rng.Int64N(int64(2*time.Second))), b.w.net.heal)
}

func (b *blow) slowDisk() { b.h.disk.slow = b.w.now + b.downtime() }

func (b *blow) stalledDisk() { b.h.disk.stalled = b.w.now + b.downtime() }

func (b *blow) failedSync() { b.h.disk.failing = true }

// fullDisk: the node hears that there is little room left, and a little later there is none.
func (b *blow) fullDisk() {
	d := b.h.disk
	fullAt := b.w.now + time.Duration(b.rng.Int64N(int64(300*time.Millisecond)))
	roomAt := fullAt + b.downtime()
	d.setLow(true)
	b.w.at(fullAt, func() {
		if !b.w.calm {
			d.full = max(d.full, roomAt)
			d.stalled = max(d.stalled, roomAt)
		}
	})
	b.w.at(roomAt, func() { d.setLow(b.w.now < d.full) })
}

// bitRot spoils what one group has stored. It is noticed when it is read.
func (b *blow) bitRot() {
	groups := b.h.disk.order
	if len(groups) == 0 {
		return
	}
	s := groups[b.rng.IntN(len(groups))]
	s.rotten = true
	b.w.trace.note(b.w.now, "rots", b.h.id, 0, s.group, 0)
	b.w.after(2*b.downtime(), func() { s.rotten = false })
}

func (b *blow) clockJump() {
	by := around(b.rng, 3*time.Second)
	b.w.trace.note(b.w.now, "clock jumps", b.h.id, 0, by, uint64(by))
	b.h.clock.jump(by)
}

// end heals what can be healed: from here on, everything must settle.
func (n *nemesis) end() {
	n.w.calm = true
	n.w.trace.note(n.w.now, "calm", 0, 0, nil, 0)
	n.w.faults = n.w.faults.calmed()
	n.w.net.heal()
	for _, h := range n.w.hosts {
		h.disk.mend()
		h.restart()
	}
}
