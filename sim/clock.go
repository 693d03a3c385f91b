package sim

import (
	"math/rand/v2"
	"time"
)

// epoch is when every simulated world begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is one node's idea of the time: it starts wrong by some skew, runs too fast or too slow, and may jump. Production measures
// waits by a clock that never goes back; here a node that jumped back waits until its clock has caught up.
type clock struct {
	skew time.Duration
	rate float64
}

func newClock(rng *rand.Rand, f *Faults) clock {
	return clock{skew: around(rng, f.ClockSkew), rate: 1 + f.ClockDrift*(2*rng.Float64()-1)}
}

// around is evenly distributed from −most to most.
func around(rng *rand.Rand, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(2*int64(most)+1)) - most
}

// at is what the clock shows at a moment of the world.
func (c *clock) at(now time.Duration) time.Time {
	return epoch.Add(c.skew + time.Duration(float64(now)*c.rate))
}

// takes is how long the world waits until the clock has advanced by d.
func (c *clock) takes(d time.Duration) time.Duration { return time.Duration(float64(d)/c.rate) + 1 }

func (c *clock) jump(d time.Duration) { c.skew += d }
