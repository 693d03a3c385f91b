package directory_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the present version")

type ids = []raft.NodeID

var founding = directory.Founding{
	Nodes: ids{1, 2, 3}, Coordinators: ids{1, 2, 3},
	Groups: []directory.Group{
		{ID: "coordinator/0", Coordinator: true, Members: ids{1, 2, 3}},
		{ID: "bank/alone", Members: ids{1}},
		{ID: "bank/spread", Members: ids{1, 2, 3}},
	},
}

func add(id raft.NodeID) directory.Fact {
	at := func(port int) string { return fmt.Sprintf("10.0.0.%d:%d", id, port) }
	return directory.Fact{AddNode: &directory.AddNode{ID: id, Addresses: directory.Addresses{Peer: at(1), GRPC: at(2), HTTP: at(3)}}}
}

func register(id raft.NodeID, disk byte) directory.Fact {
	return directory.Fact{Register: &directory.Register{ID: id, Disk: directory.Disk{disk}, Addresses: directory.Addresses{Peer: fmt.Sprintf("10.0.0.%d:1", id)}}}
}

func promote(id raft.NodeID) directory.Fact { return directory.Fact{Promote: id} }
func remove(id raft.NodeID) directory.Fact  { return directory.Fact{Remove: id} }

func place(group string, members ...raft.NodeID) directory.Fact {
	return directory.Fact{Place: &directory.Place{Group: group, Members: members}}
}

func token(name string, hash byte) directory.Fact {
	return directory.Fact{AddToken: &directory.Token{Name: name, Hash: [32]byte{hash}, Roles: []string{"read"}, Banks: []string{"alone"}, Created: 1, Expires: 2}}
}

func revoke(name string) directory.Fact { return directory.Fact{RevokeToken: name} }

func left(group string, node raft.NodeID) directory.Fact {
	return directory.Fact{Left: &directory.Left{Group: group, Node: node}}
}

// TestAChangeOfNodeZeroIsRefused: it is a fact that says nothing.
func TestAChangeOfNodeZeroIsRefused(t *testing.T) {
	h := newHost(t)
	for _, f := range []directory.Fact{promote(0), remove(0)} {
		if err := h.Check(&f); !errors.Is(err, transfer.ErrUnknownNode) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// host applies facts one entry each, as the cluster's group would.
type host struct {
	*directory.Machine
	index uint64
	disk  map[string][]byte
}

func newHost(t interface{ Fatal(...any) }) *host {
	m, err := directory.New(founding, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &host{Machine: m, disk: map[string][]byte{}}
}

func (h *host) do(facts ...directory.Fact) (last error) {
	for _, f := range facts {
		h.index++
		answers, err := h.Apply(h.index, directory.Encode([]directory.Fact{f}))
		if err != nil {
			return err
		}
		last = answers[0]
	}
	return last
}

func (h *host) Get(key []byte) ([]byte, bool, error) {
	value, ok := h.disk[string(key)]
	return value, ok, nil
}

func (h *host) checkpoint() {
	for _, kv := range h.Checkpoint() {
		h.disk[string(kv.Key)] = kv.Value
	}
}

func TestARefusalNamesItsReasonAndChangesNothing(t *testing.T) {
	for _, test := range []struct {
		before []directory.Fact
		fact   directory.Fact
		want   string
	}{
		{nil, add(2), "node 2 is in the cluster already, as a member"},
		{[]directory.Fact{add(4)}, directory.Fact{AddNode: &directory.AddNode{ID: 5, Addresses: directory.Addresses{HTTP: "10.0.0.4:2"}}}, "address 10.0.0.4:2 is node 4's"},
		{[]directory.Fact{add(4), add(5), add(6), add(7)}, add(8), "at most 7"},
		{[]directory.Fact{register(1, 1)}, register(1, 2), "another disk than before"},
		{nil, register(9, 1), "the cluster has no such node: node 9"},
		{nil, promote(2), "node 2 is no learner but a member"},
		{nil, promote(9), "the cluster has no such node: node 9"},
		{[]directory.Fact{add(4)}, promote(4), "node 4 has never been heard"},
		{nil, remove(1), "bank/alone lives on node 1 alone"},
		{nil, remove(9), "the cluster has no such node"},
		{[]directory.Fact{remove(2)}, remove(2), "leaving already"},
		{nil, place("bank/none", 1), "no such group: bank/none"},
		{nil, place("coordinator/0", 1), "lives on every coordinator node"},
		{nil, place("bank/alone"), "1 to 5 replicas, not 0"},
		{nil, place("bank/alone", 2, 2), "named twice"},
		{nil, place("bank/alone", 1), "lives there already"},
		{nil, place("bank/alone", 9), "no such node: node 9"},
		{[]directory.Fact{add(4)}, place("bank/alone", 4), "promote it first"},
		{[]directory.Fact{place("bank/alone", 2)}, place("bank/alone", 1), "node 1 has left bank/alone before"},
		{[]directory.Fact{place("bank/alone", 2), left("bank/alone", 1)}, place("bank/alone", 1, 2), "node 1 has left bank/alone before"},
		{nil, left("bank/alone", 1), "not about to leave"},
	} {
		t.Run(test.want, func(t *testing.T) {
			h := newHost(t)
			if err := h.do(test.before...); err != nil {
				t.Fatal(err)
			}
			hash, version := h.Hash(), h.Version()
			err := h.do(test.fact)
			var coded *transfer.Error
			if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, &coded) {
				t.Errorf("got %v, want a refusal with %q", err, test.want)
			}
			if h.Hash() != hash || h.Version() != version {
				t.Error("it changed something")
			}
		})
	}
}

func TestTheLastVoterStays(t *testing.T) {
	f := directory.Founding{Nodes: ids{1}, Coordinators: ids{1}, Groups: []directory.Group{{ID: "coordinator/0", Coordinator: true, Members: ids{1}}}}
	m, err := directory.New(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Machine: m}
	if err := h.do(add(2), remove(1)); err == nil || !strings.Contains(err.Error(), "node 1 is the last voter") {
		t.Errorf("got %v", err)
	}
	if err := h.do(register(2, 2), promote(2), remove(1)); err != nil {
		t.Errorf("with a second member: %v", err)
	}
}

// TestALifeOfANode: added, promoted, and a dead one replaced by it.
func TestALifeOfANode(t *testing.T) {
	h := newHost(t)
	mustPlace := func(group string, voters, learners ids) {
		t.Helper()
		v, l := h.Place(h.Group(group))
		if !slices.Equal(v, voters) || !slices.Equal(l, learners) {
			t.Errorf("%s: voters %v, learners %v, want %v and %v", group, v, l, voters, learners)
		}
	}
	must := func(facts ...directory.Fact) {
		t.Helper()
		if err := h.do(facts...); err != nil {
			t.Fatal(err)
		}
	}
	must(add(4), register(4, 4))
	mustPlace("cluster", ids{1, 2, 3}, ids{4})
	mustPlace("coordinator/0", ids{1, 2, 3}, ids{4})
	mustPlace("bank/spread", ids{1, 2, 3}, nil)
	must(promote(4))
	mustPlace("cluster", ids{1, 2, 3, 4}, nil)
	must(place("bank/alone", 4), remove(1))
	mustPlace("coordinator/0", ids{2, 3, 4}, nil)
	mustPlace("bank/spread", ids{2, 3, 4}, nil)
	mustPlace("cluster", ids{1, 2, 3, 4}, nil) // until it has left all others
	must(left("coordinator/0", 1), left("bank/spread", 1))
	mustPlace("cluster", ids{1, 2, 3, 4}, nil)
	must(left("bank/alone", 1))
	mustPlace("cluster", ids{2, 3, 4}, nil)
	if role := h.Node(1).Role; role != directory.Leaving {
		t.Errorf("node 1 is %s before it has left the cluster's group", role)
	}
	must(left("cluster", 1))
	if role := h.Node(1).Role; role != directory.Removed {
		t.Errorf("node 1 is %s", role)
	}
	if err := h.do(add(1)); err == nil || !strings.Contains(err.Error(), "its id is never used again") {
		t.Errorf("got %v", err)
	}
	if err := h.do(register(1, 9)); err == nil {
		t.Error("a removed node registers")
	}
}

func TestABankThatLosesAReplicaGetsTheMemberWithFewestGroups(t *testing.T) {
	h := newHost(t)
	if err := h.do(add(4), register(4, 4), promote(4), add(5), register(5, 5), promote(5), place("bank/alone", 4), remove(2)); err != nil {
		t.Fatal(err)
	}
	if got := h.Group("bank/spread").Members; !slices.Equal(got, ids{1, 3, 5}) {
		t.Errorf("bank/spread lives on %v, want node 5 instead of 2: node 4 has bank/alone already", got)
	}
}

// TestACheckpointAndTheRestOfTheLogGiveTheSameDirectory, whatever happened.
func TestACheckpointAndTheRestOfTheLogGiveTheSameDirectory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHost(t)
		node := rapid.Custom(func(t *rapid.T) raft.NodeID { return raft.NodeID(rapid.IntRange(1, 8).Draw(t, "node")) })
		group := rapid.SampledFrom([]string{"cluster", "coordinator/0", "bank/alone", "bank/spread"})
		fact := rapid.OneOf(
			rapid.Map(node, add), rapid.Map(node, promote), rapid.Map(node, remove),
			rapid.Custom(func(t *rapid.T) directory.Fact {
				return register(node.Draw(t, "node"), byte(rapid.IntRange(1, 2).Draw(t, "disk")))
			}),
			rapid.Custom(func(t *rapid.T) directory.Fact {
				return place(group.Draw(t, "group"), rapid.SliceOfN(node, 0, 4).Draw(t, "nodes")...)
			}),
			rapid.Custom(func(t *rapid.T) directory.Fact {
				return token(rapid.SampledFrom([]string{"a", "b", "no name"}).Draw(t, "token"), byte(rapid.IntRange(1, 2).Draw(t, "hash")))
			}),
			rapid.Custom(func(t *rapid.T) directory.Fact { return revoke(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "token")) }),
			rapid.Custom(func(t *rapid.T) directory.Fact { return left(group.Draw(t, "group"), node.Draw(t, "node")) }),
		)
		facts := rapid.SliceOfN(fact, 0, 40).Draw(t, "facts")
		cut := rapid.IntRange(0, len(facts)).Draw(t, "cut")
		_ = h.do(facts[:cut]...)
		h.checkpoint()
		m, err := directory.New(founding, h)
		if err != nil {
			t.Fatal(err)
		}
		again := &host{Machine: m, index: h.index}
		for _, f := range facts[cut:] {
			a, b := h.do(f), again.do(f)
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("%v and %v", a, b)
			}
		}
		if fmt.Sprint(h.Tokens()) != fmt.Sprint(again.Tokens()) {
			t.Fatalf("%+v\n%+v", h.Tokens(), again.Tokens())
		}
		if h.Hash() != again.Hash() {
			t.Fatalf("%+v\n%+v", h.Groups(), again.Groups())
		}
		if want := printedHash(h.Machine); h.Hash() != want {
			t.Fatalf("hash %x, of the printed text %x: %+v\n%+v", h.Hash(), want, h.Nodes(), h.Groups())
		}
	})
}

// printedHash is the hash as the first versions took it: nodes of different versions compare theirs.
func printedHash(m *directory.Machine) uint64 {
	h := fnv.New64a()
	for _, n := range m.Nodes() {
		addresses := slices.DeleteFunc([]string{n.Addresses.Peer, n.Addresses.GRPC, n.Addresses.HTTP}, func(s string) bool { return s == "" })
		fmt.Fprintf(h, "%d %q %x %d %t\n", n.ID, addresses, n.Disk, n.Role, n.Coordinator)
	}
	for _, g := range m.Groups() {
		fmt.Fprintf(h, "%s %t %v %v %v %v %v\n", g.ID, g.Coordinator, g.Founding, g.Audience, g.Members, g.Leaving, g.Left)
	}
	if m.Level() > directory.LevelFirst {
		fmt.Fprintf(h, "level %d\n", m.Level())
	}
	for _, t := range m.Tokens() {
		fmt.Fprintf(h, "%q %x %q %q %d %d\n", t.Name, t.Hash, t.Roles, t.Banks, t.Created, t.Expires)
	}
	return h.Sum64()
}

// TestGoldenBytes: what this version wrote is read for ever.
func TestGoldenBytes(t *testing.T) {
	h := newHost(t)
	facts := []directory.Fact{add(4), register(4, 7), promote(4), place("bank/alone", 4), left("bank/alone", 1), remove(1)}
	if err := h.do(facts...); err != nil {
		t.Fatal(err)
	}
	h.checkpoint()
	got := map[string][]byte{"entry_v1": directory.Encode(facts), "state_v1": h.disk["d"]}
	withTokens := []directory.Fact{token("a", 1), token("b", 2), revoke("a")}
	if err := h.do(withTokens...); err != nil {
		t.Fatal(err)
	}
	h.checkpoint()
	got["entry_v2"], got["state_v2"] = directory.Encode(withTokens), h.disk["d"]
	raise := []directory.Fact{{Raise: directory.LevelHolds}}
	if err := h.do(raise...); err != nil {
		t.Fatal(err)
	}
	h.checkpoint()
	got["entry_v3"], got["state_v3"] = directory.Encode(raise), h.disk["d"]
	for name, data := range got {
		file := filepath.Join("testdata", name+".hex")
		if *rewrite {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(data) != strings.TrimSpace(string(want)) {
			t.Errorf("%s: %x", name, data)
		}
	}
	read, err := directory.Decode(got["entry_v1"])
	if err != nil || len(read) != len(facts) {
		t.Errorf("got %v, %v", read, err)
	}
}

func TestStrangeBytesAreErrors(t *testing.T) {
	for name, data := range map[string][]byte{"none": nil, "newer": {0x08, 0x04}, "a newer level": {0x08, 0x03, 0x12, 0x02, 0x48, byte(directory.LevelNewest + 1)}, "no level": {0x08, 0x03, 0x12, 0x02, 0x48, 0x01}, "a token without a hash": {0x08, 0x02, 0x12, 0x02, 0x3a, 0x00}, "no fact": {0x08, 0x01, 0x12, 0x00}, "noise": {0xff}} {
		if _, err := directory.Decode(data); !errors.Is(err, directory.ErrDamaged) && !errors.Is(err, directory.ErrNewerFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
