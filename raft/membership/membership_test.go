package membership_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft/membership"
)

type ids = []membership.NodeID

func add(n membership.NodeID) membership.Change {
	return membership.Change{Kind: membership.AddVoter, Node: n}
}
func learn(n membership.NodeID) membership.Change {
	return membership.Change{Kind: membership.AddLearner, Node: n}
}
func remove(n membership.NodeID) membership.Change {
	return membership.Change{Kind: membership.Remove, Node: n}
}

func TestApply(t *testing.T) {
	three := membership.Of(3, 1, 2)
	joint := membership.Apply(three, []membership.Change{add(4), remove(2), learn(3)})
	for _, row := range []struct {
		name    string
		from    membership.Config
		changes []membership.Change
		want    membership.Config
	}{
		{"a voter joins at once", three, []membership.Change{add(4)}, membership.Config{Voters: ids{1, 2, 3, 4}}},
		{"a voter leaves at once", three, []membership.Change{remove(2)}, membership.Config{Voters: ids{1, 3}, Removed: ids{2}}},
		{"a voter becomes a learner at once", three, []membership.Change{learn(2)}, membership.Config{Voters: ids{1, 3}, Learners: ids{2}}},
		{"a learner becomes a voter", membership.Config{Voters: ids{1}, Learners: ids{2}}, []membership.Change{add(2)}, membership.Config{Voters: ids{1, 2}}},
		{"several go through a joint phase, in which who demotes still votes", three, []membership.Change{add(4), remove(2), learn(3)},
			membership.Config{Voters: ids{1, 4}, Outgoing: ids{1, 2, 3}, LearnersNext: ids{3}, AutoLeave: true}},
		{"the phase ends", joint, nil, membership.Config{Voters: ids{1, 4}, Learners: ids{3}, Removed: ids{2}}},
		{"no second phase before the first has ended", joint, []membership.Change{add(5)}, joint},
		{"nothing to leave", three, nil, three},
		{"the last voter stays", membership.Of(1), []membership.Change{remove(1)}, membership.Of(1)},
		{"nobody can't join", three, []membership.Change{add(0)}, three},
		{"who was never there doesn't leave", three, []membership.Change{remove(9)}, three},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := row.from.Clone()
			if diff := cmp.Diff(row.want, membership.Apply(row.from, row.changes)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, row.from.Clone()); diff != "" {
				t.Errorf("the old membership changed: %s", diff)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	c := membership.Config{Voters: ids{1, 2}, Learners: ids{3}, Removed: ids{9}}
	joint := membership.Apply(c, []membership.Change{add(4), remove(2)})
	for _, row := range []struct {
		name    string
		in      membership.Config
		changes []membership.Change
		want    error
	}{
		{"nothing", c, nil, membership.ErrNoChange},
		{"a voter that votes", c, []membership.Change{add(1)}, membership.ErrNoChange},
		{"a learner that learns", c, []membership.Change{learn(3)}, membership.ErrNoChange},
		{"a stranger leaving", c, []membership.Change{remove(7)}, membership.ErrUnknownNode},
		{"nobody", c, []membership.Change{add(0)}, membership.ErrUnknownNode},
		{"an id that has left, as a voter", c, []membership.Change{add(9)}, membership.ErrReusedID},
		{"an id that has left, as a learner", c, []membership.Change{learn(9)}, membership.ErrReusedID},
		{"one node twice", c, []membership.Change{add(4), remove(4)}, membership.ErrTwice},
		{"all voters leaving", c, []membership.Change{remove(1), remove(2)}, membership.ErrLastVoter},
		{"all voters learning", c, []membership.Change{learn(1), learn(2)}, membership.ErrLastVoter},
		{"anything during a joint phase", joint, []membership.Change{add(5)}, membership.ErrJoint},
		{"a kind of change that doesn't exist", c, []membership.Change{{Kind: 7, Node: 4}}, membership.ErrInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := membership.Check(row.in, row.changes); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
	if err := membership.Check(c, []membership.Change{add(3), remove(2)}); err != nil {
		t.Errorf("a good change: %v", err)
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]membership.Config{
		"nobody votes":               {},
		"unsorted":                   {Voters: ids{2, 1}},
		"twice":                      {Voters: ids{1, 1}},
		"node 0":                     {Voters: ids{0, 1}},
		"votes and learns":           {Voters: ids{1}, Learners: ids{1}},
		"votes in the outgoing half": {Voters: ids{1}, Outgoing: ids{2}, Learners: ids{2}},
		"nothing to leave":           {Voters: ids{1}, AutoLeave: true},
		"not leaving":                {Voters: ids{1}, Outgoing: ids{1, 2}, LearnersNext: ids{1}},
		"never a voter":              {Voters: ids{1}, Outgoing: ids{1, 2}, LearnersNext: ids{3}},
	} {
		if !errors.Is(c.Verify(), membership.ErrInvalid) {
			t.Errorf("%s: %v", name, c.Verify())
		}
	}
}

// Any changes that Check lets pass keep the membership valid, change at most one voter outside of a joint phase, and survive their encodings.
func TestChangesKeepTheMembershipValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := membership.Of(1, 2, 3)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			var changes []membership.Change
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				changes = append(changes, membership.Change{
					Kind: membership.ChangeKind(rapid.IntRange(1, 3).Draw(t, "kind")),
					Node: membership.NodeID(rapid.Uint64Range(1, 7).Draw(t, "node")),
				})
			}
			next := membership.Apply(c, changes)
			if err := next.Verify(); err != nil {
				t.Fatalf("%v after %v: %v", next, changes, err)
			}
			if membership.Check(c, changes) == nil {
				checkGoodChange(t, c, changes, next)
			}
			if back, err := membership.Decode(next.Encode()); err != nil || !cmp.Equal(back, next) {
				t.Fatalf("%v came back as %v, %v", next, back, err)
			}
			c = next
		}
	})
}

func checkGoodChange(t *rapid.T, c membership.Config, changes []membership.Change, next membership.Config) {
	if cmp.Equal(next, c) {
		t.Fatalf("%v changed nothing in %v", changes, c)
	}
	if next.Joint() && !slices.Equal(next.Outgoing, c.Voters) {
		t.Fatalf("the outgoing half of %v is not %v", next, c.Voters)
	}
	if next.Joint() != (len(changes) > 1) {
		t.Fatalf("%d changes gave %v", len(changes), next)
	}
	back, err := membership.DecodeChanges(membership.EncodeChanges(changes))
	if err != nil || !slices.Equal(back, changes) {
		t.Fatalf("%v came back as %v, %v", changes, back, err)
	}
}

func TestMembersAreAllWhoGetTheLog(t *testing.T) {
	c := membership.Config{Voters: ids{1, 4}, Outgoing: ids{1, 2}, Learners: ids{3}}
	if got := c.Members(); !slices.Equal(got, ids{1, 2, 3, 4}) {
		t.Errorf("got %v", got)
	}
	if !c.IsVoter(2) || c.IsVoter(3) || !c.IsLearner(3) || c.IsLearner(1) {
		t.Error("2 votes, 3 learns")
	}
}

// Durable forms: these bytes must be readable for ever.
func TestGoldenBytes(t *testing.T) {
	c := membership.Config{Voters: ids{1, 300}, Outgoing: ids{1, 2}, Learners: ids{7}, LearnersNext: ids{2}, Removed: ids{5, 6}, AutoLeave: true}
	if got, want := hex.EncodeToString(c.Encode()), "01010201ac020201020107010202"+"0506"; got != want {
		t.Errorf("membership: got %s, want %s", got, want)
	}
	changes := []membership.Change{add(4), learn(300), remove(2)}
	if got, want := hex.EncodeToString(membership.EncodeChanges(changes)), "01010402ac020302"; got != want {
		t.Errorf("changes: got %s, want %s", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := membership.Of(1, 2, 3)
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a later version":      append([]byte{2}, good.Encode()[1:]...),
		"an unknown flag":      append([]byte{1, 2}, good.Encode()[2:]...),
		"cut off":              good.Encode()[:4],
		"too long":             append(good.Encode(), 0),
		"an overlong number":   {1, 0, 0x81, 0x00, 1, 0, 0, 0, 0},
		"more nodes than fit":  {1, 0, 200, 1, 1, 0, 0, 0},
		"no voter":             {1, 0, 0, 0, 0, 0, 0},
		"a number without end": {1, 0, 1, 0xff},
	} {
		if _, err := membership.Decode(b); !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"a later version": {2, 1, 4}, "no change": {1}, "an unknown kind": {1, 9, 4}, "nobody": {1, 1, 0}, "cut off": {1, 1},
	} {
		if _, err := membership.DecodeChanges(b); !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("changes, %s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	c := membership.Config{Voters: ids{1, 300}, Outgoing: ids{1, 2}, Learners: ids{7}, LearnersNext: ids{2}, Removed: ids{5, 6}, AutoLeave: true}
	f.Add(c.Encode())
	f.Add([]byte{1, 0, 1, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := membership.Decode(b)
		if err != nil {
			return
		}
		if c.Verify() != nil || !slices.Equal(c.Encode(), b) {
			t.Errorf("%x became %+v, which is %x", b, c, c.Encode())
		}
	})
}

func FuzzDecodeChanges(f *testing.F) {
	f.Add(membership.EncodeChanges([]membership.Change{add(4), learn(300), remove(2)}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		changes, err := membership.DecodeChanges(b)
		if err != nil {
			return
		}
		if got := membership.EncodeChanges(changes); !slices.Equal(got, b) {
			t.Errorf("%x became %v, which is %x", b, changes, got)
		}
		next := membership.Apply(membership.Of(1, 2, 3), changes)
		if err := next.Verify(); err != nil {
			t.Error(err)
		}
	})
}
