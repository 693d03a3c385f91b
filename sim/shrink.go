package sim

import "time"

// Shrunk is what Shrink has found.
type Shrunk struct {
	Schedule Schedule
	Failure  *Failure // of the last run of the schedule
	Runs     int
	Before   int // single faults at first
}

// Shrink looks for a run that breaks the same promise with fewer faults: first without whole kinds of them, then by delta
// debugging over the single ones (Zeller & Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002, §3). It stops
// when no single fault can be left out, or when enough says so. ok is false if the run doesn't fail.
func Shrink(cfg Config, enough func() bool) (Shrunk, bool) {
	first := Run(cfg)
	if first.Failure == nil {
		return Shrunk{}, false
	}
	s := &shrinker{first: first.Failure, enough: enough}
	s.keep(Schedule{
		Seed: cfg.Seed, Duration: max(min(first.Failure.At+time.Millisecond, cfg.duration()), time.Millisecond),
		Cluster: cfg.Cluster, Faults: *first.faults, faults: first.happened,
	}, first)
	s.found.Before = len(first.happened)
	full := s.found.Schedule
	full.Duration = cfg.duration()
	if !s.fails(s.found.Schedule) && !s.fails(full) {
		s.keep(full, first) // the dice fell otherwise with a schedule: say what was found at first
		return s.found, true
	}
	s.withoutKinds()
	s.withoutSingle()
	return s.found, true
}

type shrinker struct {
	first  *Failure
	enough func() bool
	found  Shrunk
}

func (s *shrinker) keep(schedule Schedule, r Result) {
	schedule.faults = r.happened // what was forbidden or never came up is gone
	s.found.Schedule, s.found.Failure = schedule, r.Failure
}

// fails runs a schedule, and keeps it if it breaks the same promise.
func (s *shrinker) fails(schedule Schedule) bool {
	s.found.Runs++
	r := Run(schedule.Config())
	if r.Failure == nil || !r.Failure.isAs(s.first) {
		return false
	}
	if r.Failure.At+time.Millisecond < schedule.Duration {
		schedule.Duration = r.Failure.At + time.Millisecond
	}
	s.keep(schedule, r)
	return true
}

// withoutKinds tries the world without each kind of fault.
func (s *shrinker) withoutKinds() {
	for i := range (&Faults{}).knobs() {
		without := s.found.Schedule
		if k := without.Faults.knobs()[i]; k.name == "every" || !k.off() {
			continue
		}
		if s.enough() {
			return
		}
		s.fails(without)
	}
	for k := range kinds {
		without := s.found.Schedule
		without.faults = nil
		for _, f := range s.found.Schedule.faults {
			if f.kind != k {
				without.faults = append(without.faults, f)
			}
		}
		if len(without.faults) < len(s.found.Schedule.faults) && !s.enough() {
			s.fails(without)
		}
	}
}

// withoutSingle leaves out ever smaller parts of the faults.
func (s *shrinker) withoutSingle() {
	for parts := 2; len(s.found.Schedule.faults) > 0; {
		faults := s.found.Schedule.faults
		size := max(1, len(faults)/parts)
		reduced := false
		for from := 0; from < len(faults); from += size {
			if s.enough() {
				return
			}
			without := s.found.Schedule
			without.faults = append(append([]fault{}, faults[:from]...), faults[min(len(faults), from+size):]...)
			if s.fails(without) {
				reduced = true
				break
			}
		}
		switch {
		case reduced:
			parts = max(2, parts-1)
		case size == 1:
			return
		default:
			parts *= 2
		}
	}
}
