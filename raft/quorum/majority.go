package quorum

import "github.com/quorate/quorate/internal/mutant"

// NodeID names a member of a group. Zero is nobody. An id is never used again after its node is gone.
type NodeID uint64

// Index is a position in the log, from 1. Zero is before the first entry.
type Index uint64

// IndexMax is what an empty set has agreed on: it objects to nothing.
const IndexMax = ^Index(0)

// Result says how a vote stands.
type Result uint8

// A vote is Pending until more than half agree (Won) or can no longer agree (Lost).
const (
	Pending Result = iota + 1
	Won
	Lost
)

// Majority is a set of voters, sorted, each once. More than half of it decides;
// an empty set objects to nothing, so that it can be the unused half of a Joint.
type Majority []NodeID

// smallSet is how many voters fit on the stack: groups are 1, 3 or 5 and rarely 7.
const smallSet = 9

// Committed returns the highest index that more than half of the set has acknowledged.
// acked must answer zero for those who have acknowledged nothing.
func (m Majority) Committed(acked func(NodeID) Index) Index {
	if len(m) == 0 {
		return IndexMax
	}
	var stack [smallSet]Index
	sorted := stack[:0]
	if len(m) > smallSet {
		sorted = make([]Index, 0, len(m))
	}
	for _, id := range m {
		sorted = insert(sorted, acked(id))
	}
	if mutant.On(mutant.CommitByMinority) {
		return sorted[len(m)-max(1, len(m)/2)]
	}
	// Ascending: the element here and all above it are more than half.
	return sorted[len(m)-(len(m)/2+1)]
}

// insert keeps sorted ascending. Sets are so small that insertion beats any other sort.
func insert(sorted []Index, v Index) []Index {
	sorted = append(sorted, v)
	for i := len(sorted) - 1; i > 0 && sorted[i-1] > v; i-- {
		sorted[i-1], sorted[i] = sorted[i], sorted[i-1]
	}
	return sorted
}

// Vote counts. cast reports what a voter said, and whether it said anything yet.
func (m Majority) Vote(cast func(NodeID) (granted, said bool)) Result {
	if len(m) == 0 {
		return Won
	}
	need := len(m)/2 + 1
	if mutant.On(mutant.ElectByMinority) {
		need = max(1, len(m)/2)
	}
	yes, open := 0, 0
	for _, id := range m {
		switch granted, said := cast(id); {
		case !said:
			open++
		case granted:
			yes++
		}
	}
	switch {
	case yes >= need:
		return Won
	case yes+open >= need:
		return Pending
	default:
		return Lost
	}
}

// Has says whether id is in the set.
func (m Majority) Has(id NodeID) bool {
	for _, v := range m {
		if v == id {
			return true
		}
	}
	return false
}
