package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// Config is what a run is made from. Only Seed is needed: everything that is left out is drawn from it.
type Config struct {
	Seed     uint64
	Duration time.Duration // of traffic and faults, simulated; zero: 8 s. What comes after, until all is settled, isn't counted
	Cluster  Cluster
	Faults   *Faults           // nil: drawn from the seed
	Watch    func(line string) // hears every event; nil: nobody

	only      []fault // of a schedule: no other fault happens
	scheduled bool
	plant     plant // a fault that must be found: tests show with it that the judges see
}

func (c *Config) duration() time.Duration {
	if c.Duration == 0 {
		return 8 * time.Second
	}
	return c.Duration
}

// Cluster says who is there. What is zero is drawn from the seed.
type Cluster struct {
	Nodes       int           // 3 to 5
	Shards      int           // coordinator groups, of three nodes each; 1 to 3
	Banks       int           // 2 to 6
	BankMembers int           // replicas of every bank: 1 or 3
	Clients     int           // 1 to 1000
	Think       time.Duration // mean time between two requests of a client; 1 ms to 1 min
}

func (c *Cluster) knobs() []knob {
	return []knob{{"nodes", &c.Nodes}, {"shards", &c.Shards}, {"banks", &c.Banks}, {"bank-members", &c.BankMembers}, {"clients", &c.Clients}, {"think", &c.Think}}
}

// ParseCluster reads name=value[,name=value…]; "" leaves everything to the seed.
func ParseCluster(text string) (Cluster, error) {
	var c Cluster
	if text == "" {
		return c, nil
	}
	if err := parseKnobs(text, c.knobs()); err != nil {
		return c, err
	}
	within := func(v, least, most int) bool { return v == 0 || v >= least && v <= most }
	switch {
	case !within(c.Nodes, 3, nodesMax):
		return c, fmt.Errorf("nodes=%d: 3 to %d are possible", c.Nodes, nodesMax)
	case !within(c.Shards, 1, 3):
		return c, fmt.Errorf("shards=%d: 1 to 3 are possible", c.Shards)
	case !within(c.Banks, 2, 6):
		return c, fmt.Errorf("banks=%d: 2 to 6 are possible", c.Banks)
	case c.BankMembers != 0 && c.BankMembers != 1 && c.BankMembers != 3:
		return c, fmt.Errorf("bank-members=%d: 1 or 3 are possible", c.BankMembers)
	case !within(c.Clients, 1, 1000):
		return c, fmt.Errorf("clients=%d: 1 to 1000 are possible", c.Clients)
	case c.Think != 0 && (c.Think < time.Millisecond || c.Think > time.Minute):
		return c, fmt.Errorf("think=%v: 1ms to 1m are possible", c.Think)
	}
	return c, nil
}

// String is what ParseCluster reads.
func (c Cluster) String() string { return formatKnobs(c.knobs()) }

// plant is a lie that the world tells the lanes, outside the failure assumption.
type plant string

const (
	forgetVotes  plant = "the disk forgets who was voted for"
	forgetTail   plant = "the disk loses the last entries of a synced write"
	noIsYes      plant = "the network turns a bank's no into a yes"
	otherEnd     plant = "a node answers aborted for committed"
	votesBlindly plant = "a node that lost its disk votes as if it had not"
	halfInstall  plant = "the disk installs a part of a snapshot over the old state"
)

// Streams of chance: each part of the world draws from its own, so that a change of one leaves the others as they were.
const (
	streamFaults = iota + 1
	streamShape
	streamLimits
	streamNetwork
	streamNemesis
	streamTraffic
	streamOperator
	streamStranger
	streamUpgrade
	streamHosts   = 1 << 8
	streamBounds  = 1 << 9
	streamStrikes = 1 << 32
)

func stream(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// shape is who is there.
type shape struct {
	nodes     int
	directory lane.Directory
	banks     []transfer.BankID
	foreign   bool // the last of banks is
	clients   int
	think     time.Duration // mean time between two requests of a client
	accounts  int           // per bank
	amountMax int64
	overdraft int64
	skew      float64
}

func drawShape(cfg *Config) shape {
	rng := stream(cfg.Seed, streamShape)
	s := shape{clients: 3 + rng.IntN(10), accounts: 2 + rng.IntN(8), amountMax: 60, overdraft: int64(20 + rng.IntN(1000))}
	given := func(v, drawn int) int {
		if v != 0 {
			return v
		}
		return drawn
	}
	s.clients = given(cfg.Cluster.Clients, s.clients)
	s.nodes = given(cfg.Cluster.Nodes, 3+rng.IntN(3))
	s.think = time.Duration(15+rng.IntN(120)) * time.Millisecond
	if rng.IntN(2) == 0 {
		s.skew = 1 + rng.Float64()
	}
	for id := range s.nodes {
		s.directory.Nodes = append(s.directory.Nodes, raft.NodeID(id+1))
	}
	for range given(cfg.Cluster.Shards, 1+rng.IntN(3)) {
		s.directory.Coordinators = append(s.directory.Coordinators, someNodes(rng, s.nodes, 3))
	}
	for i := range given(cfg.Cluster.Banks, 2+rng.IntN(5)) {
		id := transfer.BankID(fmt.Sprintf("BANK%d", i+1))
		members := 1
		if rng.IntN(3) == 0 {
			members = 3
		}
		members = given(cfg.Cluster.BankMembers, members)
		s.banks = append(s.banks, id)
		s.directory.Banks = append(s.directory.Banks, lane.BankPlace{Bank: id, Members: someNodes(rng, s.nodes, members)})
	}
	if rng.IntN(4) == 0 { // hardly anything is asked for: groups rest
		s.think *= 20
	}
	if cfg.Cluster.Think != 0 {
		s.think = cfg.Cluster.Think
	}
	return s
}

// addForeign adds a bank that isn't ours.
func (s *shape) addForeign() {
	s.foreign = true
	s.banks = append(s.banks, foreignBank)
	s.directory.Banks = append(s.directory.Banks, lane.BankPlace{Bank: foreignBank, Members: []raft.NodeID{strangerID}})
}

// ours are the banks that are built in.
func (s *shape) ours() []transfer.BankID {
	if s.foreign {
		return s.banks[:len(s.banks)-1]
	}
	return s.banks
}

func someNodes(rng *rand.Rand, of, count int) []raft.NodeID {
	var members []raft.NodeID
	for _, i := range rng.Perm(of)[:count] {
		members = append(members, raft.NodeID(i+1))
	}
	return members
}

// drawLimits makes every bound generous or tiny: a bound that is never reached is never tested.
func drawLimits(seed uint64) lane.Limits {
	rng := stream(seed, streamLimits)
	l := lane.DefaultLimits()
	tiny := func(v *int, least, most int) {
		if rng.IntN(3) == 0 {
			*v = least + rng.IntN(most-least+1)
		}
	}
	bytes := func(v *uint64, least, most int) {
		n := int(*v)
		tiny(&n, least, most)
		*v = uint64(n)
	}
	tiny(&l.EntryFactsMax, 1, 8)
	tiny(&l.EntryBytesMax, 100, 2000)
	tiny(&l.BankQueueMax, 1, 16)
	tiny(&l.AsksMax, 4, 32)
	tiny(&l.InquiryMax, 1, 4)
	tiny(&l.PageMax, 1, 5)
	tiny(&l.CheckpointBytes, 200, 5000)
	l.LogBytesMax, l.SnapshotChunk = rng.IntN(6000), 1+rng.IntN(3000) // members fall behind the log, and get it in many pieces
	tiny(&l.CatchupBytesMax, 2000, 50000)
	tiny(&l.InflightMessagesMax, 1, 4)
	tiny(&l.Driver.FlightsMax, 4, 32)
	tiny(&l.Driver.HeldMax, 1, 8)
	tiny(&l.Driver.BankOutstandingMax, 1, 8)
	bytes(&l.AppendBytesMax, 64, 2000)
	bytes(&l.UncommittedBytesMax, 2000, 20000)
	if rng.IntN(2) == 0 { // reigns come and go quickly
		l.TickInterval, l.ElectionTicks, l.HeartbeatTicks = 20*time.Millisecond, 5+rng.IntN(6), 1+rng.IntN(2)
	}
	l.CheckpointEntries = 8 + rng.IntN(300)
	tiny(&l.CheckpointStep, 1, 20)
	l.OrphanAfter = time.Duration(50+rng.IntN(1000)) * time.Millisecond
	l.InquireEvery = time.Duration(20+rng.IntN(400)) * time.Millisecond
	l.ReforwardAfter = time.Duration(200+rng.IntN(800)) * time.Millisecond
	l.Driver = driver.Limits{
		FlightsMax: l.Driver.FlightsMax, HeldMax: l.Driver.HeldMax, BankOutstandingMax: l.Driver.BankOutstandingMax,
		RetryAfter: time.Duration(100+rng.IntN(300)) * time.Millisecond, RetryAfterMax: time.Second,
		BreakerSilences: 1 + rng.IntN(4),
	}
	l.HandOverAfter = time.Duration(200+rng.IntN(3000)) * time.Millisecond
	l.QuiesceTicks = rng.IntN(60)
	l.CaughtUpEntries = rng.Uint64N(64)
	tiny(&l.ReadsMax, 2, 16)
	if rng.IntN(3) == 0 { // decisions and commits hardly wait for company, or until a leader is likely to be lost first
		l.RideMax = time.Duration(1+rng.IntN(100)) * time.Millisecond
	}
	return l
}
