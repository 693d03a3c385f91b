package sim

import (
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/directory"
)

// upgrade is a rolling one: the nodes that a world begins with run an older version, and are restarted with the newest one by one. It may
// never come to its end. Who joins later runs the newest version.
type upgrade struct {
	w    *world
	rng  *rand.Rand
	from directory.Level // what the older version can read
}

func newUpgrade(w *world) *upgrade {
	u := &upgrade{w: w, rng: stream(w.cfg.Seed, streamUpgrade)}
	u.from = directory.LevelFirst + directory.Level(u.rng.IntN(int(directory.LevelNewest-directory.LevelFirst)))
	return u
}

// levelOf is what a node's first build can read.
func (u *upgrade) levelOf(h *host) directory.Level {
	if u.w.faults.Upgrade > 0 && int(h.id) <= u.w.shape.nodes {
		return u.from
	}
	return directory.LevelNewest
}

func (u *upgrade) begin() {
	if u.w.faults.Upgrade == 0 {
		return
	}
	at := u.w.now
	for _, i := range u.rng.Perm(u.w.shape.nodes) {
		h := u.w.hosts[i]
		at += time.Duration(u.rng.ExpFloat64() * float64(u.w.faults.Upgrade))
		u.w.at(at, func() { u.replace(h) })
	}
}

func (u *upgrade) replace(h *host) {
	if u.w.calm || h.gone || !u.w.mischief.dare(upgraded, true) {
		return
	}
	h.level = directory.LevelNewest
	u.w.counts.Upgraded++
	if h.lane != nil {
		h.stop("to be upgraded")
	}
}
