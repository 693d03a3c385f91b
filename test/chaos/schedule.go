package main

import (
	"math/rand/v2"
	"time"
)

// spell is one thing that goes wrong for a while.
type spell struct {
	at     time.Duration // since the storm began
	length time.Duration
	kind   string
	pick   uint64  // whom it hits, if it hits one
	degree float64 // how badly, 0 to 1
}

// Spells overlap: they begin closer to one another than they are long. Some are longer than every timeout between nodes.
const (
	calmMin   = 300 * time.Millisecond
	calmMax   = 4 * time.Second
	lengthMin = 500 * time.Millisecond
	lengthMax = 7 * time.Second
	longMax   = 18 * time.Second
	longOneIn = 8
)

const damageKind = "damage"

// schedule draws the storms of a run. The same seed draws the same ones; what they meet differs from run to run.
type schedule struct {
	rng   *rand.Rand
	kinds []string
	deck  []string // dealt until it is empty: every kind comes up before one comes up twice
}

func newSchedule(seed uint64, kinds []string) *schedule {
	return &schedule{rng: rand.New(rand.NewPCG(seed, 0xc4a05)), kinds: kinds}
}

// storm draws the next one.
func (s *schedule) storm(length time.Duration) (spells []spell) {
	for at := between(s.rng, 0, calmMin); at < length; at += between(s.rng, calmMin, calmMax) {
		most := lengthMax
		if s.rng.IntN(longOneIn) == 0 {
			most = longMax
		}
		each := spell{at: at, length: between(s.rng, lengthMin, most), kind: s.deal(), pick: s.rng.Uint64(), degree: s.rng.Float64()}
		if each.kind == damageKind {
			each.length = longMax // it is over once it has hit, and there is one node only that it may hit
		}
		spells = append(spells, each)
	}
	return spells
}

func (s *schedule) deal() string {
	if len(s.deck) == 0 {
		s.deck = append(s.deck, s.kinds...)
		s.rng.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	kind := s.deck[0]
	s.deck = s.deck[1:]
	return kind
}
