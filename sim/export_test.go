package sim

import "time"

// Planted lists the faults that RunPlanted can put into a world.
var Planted = []string{string(forgetVotes), string(forgetTail), string(noIsYes), string(otherEnd), string(halfInstall), string(votesBlindly)}

// RunPlanted is Run with a fault that the judges must find.
func RunPlanted(seed uint64, fault string) Result {
	return Run(Config{Seed: seed, plant: plant(fault)})
}

// Order runs one event at each of the given times and tells in which order they came.
func Order(at []time.Duration) []int {
	var q queue
	var came []int
	for i, t := range at {
		q.add(event{at: t, do: func() { came = append(came, i) }})
	}
	for e, ok := q.next(); ok; e, ok = q.next() {
		e.do()
	}
	return came
}
