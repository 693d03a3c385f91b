package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Schedule is a run that can be kept in a file: a seed, and which of its faults happen. It repeats the same events for as long as
// the code takes the same steps; later on it is only one more way of making trouble.
type Schedule struct {
	Seed     uint64
	Duration time.Duration
	Cluster  Cluster
	Faults   Faults
	Mutant   string // the bug that was planted when it was made; "": none
	faults   []fault
}

// Events is how many single faults the schedule holds.
func (s *Schedule) Events() int { return len(s.faults) }

// Config is a run of the schedule.
func (s *Schedule) Config() Config {
	faults := s.Faults
	return Config{Seed: s.Seed, Duration: s.Duration, Cluster: s.Cluster, Faults: &faults, only: s.faults, scheduled: true}
}

// scheduleFile is the form of a schedule in a file. Numbers are those of package mischief's occasions, by kind.
type scheduleFile struct {
	Seed     string              `json:"seed"`
	Duration string              `json:"duration"`
	Cluster  string              `json:"cluster,omitempty"`
	Faults   string              `json:"faults"`
	Mutant   string              `json:"mutant,omitempty"`
	Only     map[string][]uint32 `json:"only"`
}

// MarshalJSON writes what UnmarshalJSON reads.
func (s Schedule) MarshalJSON() ([]byte, error) {
	f := scheduleFile{
		Seed: fmt.Sprintf("%#x", s.Seed), Duration: s.Duration.String(), Cluster: s.Cluster.String(), Faults: s.Faults.String(), Mutant: s.Mutant,
		Only: map[string][]uint32{},
	}
	for _, one := range s.faults {
		f.Only[one.kind.String()] = append(f.Only[one.kind.String()], one.number)
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads a schedule.
func (s *Schedule) UnmarshalJSON(data []byte) error {
	var f scheduleFile
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*s = Schedule{Mutant: f.Mutant}
	var err error
	if s.Seed, err = strconv.ParseUint(f.Seed, 0, 64); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if s.Duration, err = time.ParseDuration(f.Duration); err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	if s.Duration <= 0 || s.Duration > timeMax {
		return fmt.Errorf("duration: %v is not between 0 and %v", s.Duration, timeMax)
	}
	if s.Cluster, err = ParseCluster(f.Cluster); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	faults, err := ParseFaults(f.Faults)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	s.Faults = *faults
	for k := range kinds {
		for _, number := range f.Only[k.String()] {
			s.faults = append(s.faults, fault{k, number})
		}
		delete(f.Only, k.String())
	}
	for name := range f.Only {
		return fmt.Errorf("%q is no kind of fault, those are %v", name, slices.Clone(kindNames[:]))
	}
	return nil
}
