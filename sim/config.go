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
	Duration time.Duration     // of traffic and faults, simulated; zero: 8 s. What comes after, until all is settled, isn't counted
	Faults   *Faults           // nil: drawn from the seed
	Nodes    int               // 3 to 5; zero: drawn
	Watch    func(line string) // hears every event; nil: nobody

	plant plant // a fault that must be found: tests show with it that the judges see
}

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

// Faults says what may go wrong and how often. Chances are from 0 to 1, mean times simulated.
type Faults struct {
	Loss, Duplication, Reordering float64 // of one message

	MeanTimeToFault time.Duration // between two of the following, chosen by weight; zero: none happen
	Crash, CrashAll int
	Pause           int // a node stands still for a while, its memory intact
	Partition       int // symmetric
	OneWay          int // a link carries nothing in one direction
	Eclipse         int // a node is frozen and cut off, and wakes up before it can hear anybody
	SlowDisk        int
	StalledDisk     int
	ClockJump       int // forwards
	LostDisk        int // a node crashes and finds what it stored of a group damaged

	CrashPoint   float64 // chance per step or sync that the node crashes in the middle of it
	ClockDrift   float64 // largest difference of a clock's rate from 1
	ClockSkew    time.Duration
	LostAnswers  float64 // a client doesn't hear its answer
	Impatience   float64 // a client doesn't wait for it
	DamagedChunk float64 // of a piece of a snapshot: one bit of it arrives wrong
	EagerReaders bool    // readers show a checkpoint while its sync is still under way, as the production store may
}

// NoFaults is a world where only time passes.
func NoFaults() *Faults { return &Faults{} }

// DrawFaults chooses what goes wrong under a seed. Each kind is absent in some seeds, so that no kind hides another.
func DrawFaults(seed uint64) *Faults {
	rng := stream(seed, streamFaults)
	chance := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return most * rng.Float64() * rng.Float64()
	}
	weight := func() int { return max(0, rng.IntN(6)-2) }
	between := 60 + rng.IntN(1500)
	if rng.IntN(4) == 0 { // a storm: hardly a leader lives to see its successor's entries
		between = 15 + rng.IntN(100)
	}
	return &Faults{
		Loss: chance(0.3), Duplication: chance(0.3), Reordering: chance(0.5),
		MeanTimeToFault: time.Duration(between) * time.Millisecond,
		Crash:           weight(), CrashAll: weight() / 2, Pause: weight(), Partition: weight(), OneWay: weight(),
		SlowDisk: weight(), StalledDisk: weight(), ClockJump: weight(), Eclipse: weight(),
		CrashPoint: chance(0.01), ClockDrift: chance(0.2), ClockSkew: time.Duration(chance(2000)) * time.Millisecond,
		LostAnswers: chance(0.3), Impatience: chance(0.3), EagerReaders: rng.IntN(2) == 0,
		DamagedChunk: chance(0.5), LostDisk: weight(),
	}
}

// Streams of chance: each part of the world draws from its own, so that a change of one leaves the others as they were.
const (
	streamFaults = iota + 1
	streamShape
	streamLimits
	streamNetwork
	streamNemesis
	streamTraffic
	streamHosts   = 1 << 8
	streamClients = 1 << 9
)

func stream(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// shape is who is there.
type shape struct {
	nodes     int
	directory lane.Directory
	banks     []transfer.BankID
	clients   int
	think     time.Duration // mean time between two requests of a client
	accounts  int           // per bank
	amountMax int64
	overdraft int64
	skew      float64
}

func drawShape(cfg *Config) shape {
	rng := stream(cfg.Seed, streamShape)
	s := shape{nodes: cfg.Nodes, clients: 3 + rng.IntN(10), accounts: 2 + rng.IntN(8), amountMax: 60, overdraft: int64(20 + rng.IntN(1000))}
	if s.nodes == 0 {
		s.nodes = 3 + rng.IntN(3)
	}
	s.think = time.Duration(15+rng.IntN(120)) * time.Millisecond
	if rng.IntN(2) == 0 {
		s.skew = 1 + rng.Float64()
	}
	for range 1 + rng.IntN(3) {
		s.directory.Coordinators = append(s.directory.Coordinators, someNodes(rng, s.nodes, 3))
	}
	for i := range 2 + rng.IntN(5) {
		id := transfer.BankID(fmt.Sprintf("BANK%d", i+1))
		members := 1
		if rng.IntN(3) == 0 {
			members = 3
		}
		s.banks = append(s.banks, id)
		s.directory.Banks = append(s.directory.Banks, lane.BankPlace{Bank: id, Members: someNodes(rng, s.nodes, members)})
	}
	if rng.IntN(4) == 0 { // hardly anything is asked for: groups rest
		s.think *= 20
	}
	return s
}

// places says where each group's members are.
func (s *shape) places() map[lane.GroupID][]raft.NodeID {
	places := map[lane.GroupID][]raft.NodeID{}
	for shard, members := range s.directory.Coordinators {
		places[lane.CoordinatorGroup(shard)] = members
	}
	for _, b := range s.directory.Banks {
		places[lane.BankGroup(b.Bank)] = b.Members
	}
	return places
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
	tiny(&l.Driver.BankOutstandingMax, 1, 8)
	bytes(&l.AppendBytesMax, 64, 2000)
	bytes(&l.UncommittedBytesMax, 2000, 20000)
	if rng.IntN(2) == 0 { // reigns come and go quickly
		l.TickInterval, l.ElectionTicks, l.HeartbeatTicks = 20*time.Millisecond, 5+rng.IntN(6), 1+rng.IntN(2)
	}
	l.CheckpointLength = 8 + rng.IntN(300)
	l.OrphanAfter = time.Duration(50+rng.IntN(1000)) * time.Millisecond
	l.InquireEvery = time.Duration(20+rng.IntN(400)) * time.Millisecond
	l.ReforwardAfter = time.Duration(200+rng.IntN(800)) * time.Millisecond
	l.Driver = driver.Limits{
		FlightsMax: l.Driver.FlightsMax, BankOutstandingMax: l.Driver.BankOutstandingMax,
		RetryAfter: time.Duration(100+rng.IntN(300)) * time.Millisecond, RetryAfterMax: time.Second,
		BreakerSilences: 1 + rng.IntN(4),
	}
	l.HandOverAfter = time.Duration(200+rng.IntN(3000)) * time.Millisecond
	l.QuiesceTicks = rng.IntN(60)
	l.CaughtUpEntries = rng.Uint64N(64)
	return l
}
