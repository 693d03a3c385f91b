package sim

// Planted lists the faults that RunPlanted can put into a world.
var Planted = []string{string(forgetVotes), string(forgetTail), string(noIsYes), string(otherEnd)}

// RunPlanted is Run with a fault that the judges must find.
func RunPlanted(seed uint64, fault string) Result {
	return Run(Config{Seed: seed, plant: plant(fault)})
}
