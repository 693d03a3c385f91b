package quorum

// Joint is the incoming and the outgoing set of voters during a membership change. What it
// decides, both decide. Outside of a change the outgoing set is empty.
type Joint struct {
	Incoming Majority
	Outgoing Majority
}

// Committed returns the highest index on which both halves agree.
func (j Joint) Committed(acked func(NodeID) Index) Index {
	in := j.Incoming.Committed(acked)
	if len(j.Outgoing) == 0 {
		return in
	}
	return min(in, j.Outgoing.Committed(acked))
}

// Vote is won if both halves are won and lost as soon as one is lost.
func (j Joint) Vote(cast func(NodeID) (granted, said bool)) Result {
	in, out := j.Incoming.Vote(cast), j.Outgoing.Vote(cast)
	switch {
	case in == Lost || out == Lost:
		return Lost
	case in == Pending || out == Pending:
		return Pending
	default:
		return Won
	}
}

// Has says whether id votes in either half.
func (j Joint) Has(id NodeID) bool {
	return j.Incoming.Has(id) || j.Outgoing.Has(id)
}

// IsOnly says whether id decides alone.
func (j Joint) IsOnly(id NodeID) bool {
	return len(j.Incoming) == 1 && j.Incoming[0] == id &&
		(len(j.Outgoing) == 0 || len(j.Outgoing) == 1 && j.Outgoing[0] == id)
}
