package membership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft/quorum"
)

// NodeID is that of the whole of raft.
type NodeID = quorum.NodeID

// Config is who belongs to a group. Lists are sorted. A Config is a value: Apply makes a new one.
type Config struct {
	Voters       []NodeID // who decides from now on
	Outgoing     []NodeID // the voters before, while both decide together; else empty
	Learners     []NodeID // who gets the log but doesn't count
	LearnersNext []NodeID // voters of Outgoing that become learners when it ends
	Removed      []NodeID // who has left; their ids are never used again
	AutoLeave    bool     // joint: the leader ends it by itself
}

// ErrInvalid says that bytes or lists are no membership.
var ErrInvalid = errors.New("not a valid membership")

// Of returns the first membership of a group.
func Of(voters ...NodeID) Config {
	sorted := slices.Clone(voters)
	slices.Sort(sorted)
	return Config{Voters: sorted}
}

// Joint says whether two sets of voters decide together.
func (c *Config) Joint() bool { return len(c.Outgoing) > 0 }

// Quorum returns the voters as the sets that decide.
func (c *Config) Quorum() quorum.Joint {
	return quorum.Joint{Incoming: c.Voters, Outgoing: c.Outgoing}
}

// IsVoter says whether id votes, in either half.
func (c *Config) IsVoter(id NodeID) bool { return has(c.Voters, id) || has(c.Outgoing, id) }

// IsLearner says whether id only listens.
func (c *Config) IsLearner(id NodeID) bool { return has(c.Learners, id) }

// Members returns everyone who gets the log, sorted.
func (c *Config) Members() []NodeID {
	all := slices.Concat(c.Voters, c.Outgoing, c.Learners)
	slices.Sort(all)
	return slices.Compact(all)
}

// Clone returns a copy that shares nothing.
func (c *Config) Clone() Config {
	return Config{
		Voters: slices.Clone(c.Voters), Outgoing: slices.Clone(c.Outgoing),
		Learners: slices.Clone(c.Learners), LearnersNext: slices.Clone(c.LearnersNext),
		Removed: slices.Clone(c.Removed), AutoLeave: c.AutoLeave,
	}
}

// Verify returns what is wrong with c (ErrInvalid), or nil.
func (c *Config) Verify() error {
	lists := []struct {
		name string
		ids  []NodeID
	}{
		{"voters", c.Voters}, {"outgoing", c.Outgoing}, {"learners", c.Learners},
		{"next learners", c.LearnersNext}, {"removed", c.Removed},
	}
	for _, l := range lists {
		if err := sortedOnce(l.ids); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, l.name, err)
		}
	}
	if len(c.Voters) == 0 {
		return fmt.Errorf("%w: nobody votes", ErrInvalid)
	}
	if c.AutoLeave && !c.Joint() {
		return fmt.Errorf("%w: nothing to leave", ErrInvalid)
	}
	for _, id := range c.Learners {
		if c.IsVoter(id) {
			return fmt.Errorf("%w: node %d both votes and learns", ErrInvalid, id)
		}
	}
	for _, id := range c.LearnersNext {
		if !has(c.Outgoing, id) || has(c.Voters, id) {
			return fmt.Errorf("%w: node %d can't become a learner, it is not leaving the voters", ErrInvalid, id)
		}
	}
	return nil
}

func sortedOnce(ids []NodeID) error {
	for i, id := range ids {
		if id == 0 {
			return errors.New("node 0 is nobody")
		}
		if i > 0 && ids[i-1] >= id {
			return fmt.Errorf("node %d after node %d", id, ids[i-1])
		}
	}
	return nil
}

func has(ids []NodeID, id NodeID) bool {
	_, found := slices.BinarySearch(ids, id)
	return found
}

func with(ids []NodeID, id NodeID) []NodeID {
	at, found := slices.BinarySearch(ids, id)
	if found {
		return ids
	}
	return slices.Insert(ids, at, id)
}

func without(ids []NodeID, id NodeID) []NodeID {
	at, found := slices.BinarySearch(ids, id)
	switch {
	case !found:
		return ids
	case len(ids) == 1:
		return nil // as it is decoded: an empty list has one form only
	default:
		return slices.Delete(ids, at, at+1)
	}
}
