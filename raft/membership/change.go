package membership

import (
	"errors"
	"fmt"
)

// ChangeKind says what happens to one node.
type ChangeKind uint8

// AddVoter also promotes a learner; AddLearner also demotes a voter.
const (
	AddVoter ChangeKind = iota + 1
	AddLearner
	Remove
)

func (k ChangeKind) String() string {
	switch k {
	case AddVoter:
		return "votes"
	case AddLearner:
		return "learns"
	case Remove:
		return "leaves"
	}
	return fmt.Sprintf("change %d", uint8(k))
}

// Change moves one node.
type Change struct {
	Kind ChangeKind
	Node NodeID
}

// Errors of Check: the change is refused before it gets into the log.
var (
	ErrUnknownNode = errors.New("the node is not a member")
	ErrNoChange    = errors.New("the membership already is that way")
	ErrLastVoter   = errors.New("no voter would be left")
	ErrReusedID    = errors.New("the id belonged to a node that was removed; give the node a new id")
	ErrTwice       = errors.New("a node is changed twice at once")
	ErrJoint       = errors.New("a change is still being completed")
)

// Check says whether the changes may be proposed to a group with membership c.
func Check(c Config, changes []Change) error {
	if c.Joint() {
		return ErrJoint
	}
	if len(changes) == 0 {
		return ErrNoChange
	}
	seen := make(map[NodeID]bool, len(changes))
	for _, ch := range changes {
		if seen[ch.Node] {
			return fmt.Errorf("%w: node %d", ErrTwice, ch.Node)
		}
		seen[ch.Node] = true
		if err := checkOne(c, ch); err != nil {
			return fmt.Errorf("%w: node %d", err, ch.Node)
		}
	}
	next := after(c, changes)
	if len(next.Voters) == 0 {
		return ErrLastVoter
	}
	return next.Verify()
}

func checkOne(c Config, ch Change) error {
	member := c.IsVoter(ch.Node) || c.IsLearner(ch.Node)
	switch {
	case ch.Node == 0:
		return ErrUnknownNode
	case ch.Kind == Remove && !member:
		return ErrUnknownNode
	case ch.Kind != Remove && has(c.Removed, ch.Node):
		return ErrReusedID
	case ch.Kind == AddVoter && c.IsVoter(ch.Node), ch.Kind == AddLearner && c.IsLearner(ch.Node):
		return ErrNoChange
	case ch.Kind < AddVoter || ch.Kind > Remove:
		return fmt.Errorf("%w: change of kind %d", ErrInvalid, ch.Kind)
	}
	return nil
}

// Apply returns the membership after the changes. None at all ends a joint phase; one happens at once; several begin a joint
// phase. It never fails: changes that passed Check when they were proposed are applied to the same membership. What would leave
// no valid membership changes nothing, and so does a second phase before the first has ended; every member decides that alike.
func Apply(c Config, changes []Change) Config {
	if c.Joint() != (len(changes) == 0) {
		return c
	}
	if next := after(c, changes); next.Verify() == nil {
		return next
	}
	return c
}

// after does what Apply promises, whatever comes of it.
func after(c Config, changes []Change) Config {
	next := c.Clone()
	if len(changes) == 0 {
		next.leave()
		return next
	}
	if len(changes) > 1 {
		next.Outgoing = c.Clone().Voters
		next.AutoLeave = true
	}
	for _, ch := range changes {
		next.apply(ch)
	}
	return next
}

func (c *Config) leave() {
	for _, id := range c.Outgoing {
		switch {
		case has(c.LearnersNext, id):
			c.Learners = with(c.Learners, id)
		case !has(c.Voters, id) && !has(c.Learners, id):
			c.Removed = with(c.Removed, id)
		}
	}
	c.Outgoing, c.LearnersNext, c.AutoLeave = nil, nil, false
}

func (c *Config) apply(ch Change) {
	id := ch.Node
	if id == 0 {
		return
	}
	if ch.Kind == Remove && (c.IsVoter(id) || c.IsLearner(id)) && !has(c.Outgoing, id) {
		c.Removed = with(c.Removed, id) // whoever votes in the outgoing half leaves with it
	}
	c.Voters, c.Learners, c.LearnersNext = without(c.Voters, id), without(c.Learners, id), without(c.LearnersNext, id)
	switch {
	case ch.Kind == AddVoter:
		c.Voters = with(c.Voters, id)
	case ch.Kind == AddLearner && has(c.Outgoing, id):
		c.LearnersNext = with(c.LearnersNext, id) // it can't learn while it still votes
	case ch.Kind == AddLearner:
		c.Learners = with(c.Learners, id)
	}
}
