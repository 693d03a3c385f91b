//go:build mutants

package sim_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/sim"
)

var (
	onlyMutant = flag.String("mutant", "", "the only mutant that TestMutants looks for")
	allMutants = flag.Bool("all-mutants", false, "look for every mutant, not for a sample; for those that take long, too")
	patience   = flag.Uint64("patience", 0, "seeds until a mutant counts as not found; 0: what the table says")
)

// sampleMost is up to how many seeds a mutant of the sample may take.
const sampleMost = 50

// TestMutants: a simulator that finds nothing must be known to be able to.
func TestMutants(t *testing.T) {
	for _, bug := range mutant.All {
		if *onlyMutant != "" && *onlyMutant != bug.Name || *onlyMutant == "" && !*allMutants && bug.Seeds > sampleMost {
			continue
		}
		t.Run(bug.Name, func(t *testing.T) {
			mutant.Enable(bug.Name)
			defer mutant.Enable("")
			within := uint64(bug.Seeds)
			if *patience > 0 {
				within = *patience
			}
			seed, failure := findMutant(within)
			if failure == nil {
				t.Errorf("%s in %s isn't found within %d seeds: %s", bug.Name, bug.Room, within, bug.Breaks)
				return
			}
			t.Logf("seed %d: %s", seed, failure.Invariant)
		})
	}
}

// findMutant runs seeds, two at a time, until the first in order that fails.
func findMutant(within uint64) (seed uint64, failure *sim.Failure) {
	var next atomic.Uint64
	var mu sync.Mutex // guards seed and failure
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for s := next.Add(1); s <= within; s = next.Add(1) {
				mu.Lock()
				enough := failure != nil && seed < s
				mu.Unlock()
				if enough {
					return
				}
				if f := sim.Run(sim.Config{Seed: s}).Failure; f != nil {
					mu.Lock()
					if failure == nil || s < seed {
						seed, failure = s, f
					}
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return seed, failure
}

func TestNoMutantIsOnByItself(t *testing.T) {
	if name := mutant.Active(); name != "" {
		t.Errorf("%s is on", name)
	}
}

// TestTheTableOfMutantsIsWhatIsPlanted holds docs/simulator.md against the code.
func TestTheTableOfMutantsIsWhatIsPlanted(t *testing.T) {
	data, err := os.ReadFile("../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, bug := range mutant.All {
		if row := fmt.Sprintf("\n| `%s` | `%s` | %s | %d | ", bug.Name, bug.Room, bug.Breaks, bug.Seeds); !strings.Contains(text, row) {
			t.Errorf("docs/simulator.md has no row%s…", row)
		}
	}
	_, table, _ := strings.Cut(text, "| name | room | what it breaks |")
	table, _, _ = strings.Cut(table, "\n\n")
	if rows := strings.Count(table, "\n| `"); rows != len(mutant.All) {
		t.Errorf("the table has %d rows, planted are %d", rows, len(mutant.All))
	}
}
