package sim

import (
	"slices"
	"testing"
	"time"
)

// TestEveryKindOfFaultHappens alone, so that one that the nemesis forgets doesn't hide behind the others.
func TestEveryKindOfFaultHappens(t *testing.T) {
	for i, k := range (&Faults{}).knobs() {
		if _, weight := k.field.(*int); !weight || k.name == "quiet" {
			continue
		}
		f := &Faults{MeanTimeToFault: 50 * time.Millisecond}
		*f.knobs()[i].field.(*int) = 1
		r := Run(Config{Seed: 1, Duration: time.Second, Faults: f, Cluster: Cluster{Nodes: 3, Banks: 2}})
		if r.Failure != nil {
			t.Errorf("%s: %v", k.name, r.Failure)
		}
		if r.Strikes < 5 {
			t.Errorf("%s happened %d times in a second, once in 50 ms is due", k.name, r.Strikes)
		}
	}
}

// TestEverySortOfMischiefHappens in seeds as they are drawn. The rarest, a spoiled piece of a snapshot, does in one world of forty: nine of the first four hundred.
func TestEverySortOfMischiefHappens(t *testing.T) {
	var met [kinds]int
	for seed := uint64(1); seed <= 400 && slices.Contains(met[:], 0); seed++ {
		for _, one := range Run(Config{Seed: seed, Duration: 4 * time.Second}).happened {
			met[one.kind]++
		}
	}
	for k, n := range met {
		if n == 0 {
			t.Errorf("%s never happened", kind(k))
		}
	}
}

func TestAnotherInvariantOfTheCodeIsAnotherPromise(t *testing.T) {
	inside := func(detail string) *Failure { return &Failure{Invariant: codeHolds, Detail: detail} }
	first := inside("transfer 01890a5d-ac96-774b-bcce-b302099a8057 was told to be committed and is aborted in entry 12")
	for _, c := range []struct {
		other *Failure
		same  bool
	}{
		{inside("transfer ff890a5d-ac96-774b-bcce-b302099a80aa was told to be committed and is aborted in entry 7"), true},
		{inside("entry 12 of term 3 is applied in the reign of term 4"), false},
		{&Failure{Invariant: nothingPanics, Detail: first.Detail}, false},
	} {
		if first.isAs(c.other) != c.same {
			t.Errorf("%v: the same is %t, want %t", c.other, !c.same, c.same)
		}
	}
	judged := &Failure{Invariant: "money is conserved", Detail: "12 EUR"}
	if !judged.isAs(&Failure{Invariant: "money is conserved", Detail: "in bank B there are three more"}) {
		t.Error("what a judge promises has another name with each detail")
	}
}
