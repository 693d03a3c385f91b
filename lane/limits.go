package lane

import (
	"time"

	"github.com/quorate/quorate/coordinator/driver"
)

// Limits is where every bound of a lane has its name.
type Limits struct {
	TickInterval   time.Duration // one tick of every engine
	ElectionTicks  int           // a follower waits 1 to 2 times as many for its leader
	HeartbeatTicks int

	HandOverAfter   time.Duration // so long a group's preferred member must have been well before it is handed the group, and between two attempts
	CaughtUpEntries uint64        // entries that it may lack, and a learner that is to vote

	QuiesceTicks int // a group with nothing to do for so long is quiesced; at least twice ElectionTicks

	AppendBytesMax      uint64 // entries in one message to a follower
	InflightMessagesMax int    // such messages under way to one follower
	InflightBytesMax    uint64
	UncommittedBytesMax uint64 // proposed and not committed, per group

	EntryFactsMax     int           // facts or bank commands in one log entry
	EntryBytesMax     int           // of them, about; one larger fact still goes. Far below what a message may carry
	RideMax           time.Duration // how long commits that nobody waits for may wait for a message, or an entry, to share
	BankQueueMax      int           // commands that wait for a bank's next entry; more requests are dropped, and repeated by their driver
	AsksMax           int           // client requests open at this node; more are refused with ErrBusy
	ReadsMax          int           // reads that wait at a group's leader, from all nodes; more are refused with ErrBusy
	ReforwardAfter    time.Duration
	InquireEvery      time.Duration // how often a bank's leader looks for old holds
	OrphanAfter       time.Duration // how old they must be
	InquiryMax        int           // holds per look
	CheckpointBytes   int
	CheckpointEntries int           // entries
	CheckpointAhead   int           // so many bytes count towards a group's first checkpoint. Each node has its own, so that not all make theirs at the same time
	CheckpointStep    int           // records of a checkpoint that are gathered in one step
	CheckpointLagMax  int           // bytes of log that the node writes while one checkpoint waits to become durable; then commits wait for it
	CheckpointPause   int           // so many times as long as a part of a checkpoint took to write the next one waits, unless it falls behind. Zero: as fast as it goes
	LogBytesMax       int           // applied entries that the log keeps for a member that lacks them; beyond, the member gets a snapshot. At least one checkpoint's worth stays
	CatchupBytesMax   int           // the same while the member is being brought up to date: more, or a busy group would never be caught; and as much more as it has been sent
	SnapshotChunk     int           // bytes of one chunk, about
	SnapshotPause     int           // so many times as long as a chunk was under way the next one waits: a snapshot yields to traffic. Zero: as fast as it goes
	HoldCommitsMax    time.Duration // how long a backup may have a bank wait with its commits
	PageMax           int           // items in one listing
	ListLookMax       int           // transfers that one page of a list looks at: each may be a read of its own
	StatementMax      int           // entries in one page of a statement: each is a read of its own

	ReportEvery   time.Duration // how often a group's leader tells the cluster's about members on their way in or out
	AskWhoEvery   time.Duration // how often a node asks those that it knows who is there
	IntroducedMax int           // nodes that peers can have this one remember beside its directory

	Driver driver.Limits
}

// DefaultLimits fits a node with a few gigabytes of memory and a disk that syncs within milliseconds.
func DefaultLimits() Limits {
	return Limits{
		TickInterval:   50 * time.Millisecond,
		ElectionTicks:  10,
		HeartbeatTicks: 2,

		HandOverAfter:   5 * time.Second,
		QuiesceTicks:    20,
		CaughtUpEntries: 64,

		AppendBytesMax:      1 << 20,
		InflightMessagesMax: 256,
		InflightBytesMax:    16 << 20,
		UncommittedBytesMax: 64 << 20,

		EntryFactsMax:     4096,
		EntryBytesMax:     1 << 20,
		RideMax:           5 * time.Millisecond,
		BankQueueMax:      1 << 16,
		AsksMax:           1 << 14,
		ReadsMax:          1 << 16,
		ReforwardAfter:    time.Second,
		InquireEvery:      time.Second,
		OrphanAfter:       8 * time.Second,
		InquiryMax:        8192,
		CheckpointBytes:   4 << 20,
		CheckpointEntries: 32768,
		CheckpointStep:    1024,
		CheckpointLagMax:  64 << 20,
		CheckpointPause:   3,
		LogBytesMax:       64 << 20,
		CatchupBytesMax:   256 << 20,
		SnapshotChunk:     256 << 10,
		SnapshotPause:     3,
		HoldCommitsMax:    30 * time.Second,
		PageMax:           1000,
		ListLookMax:       500,
		StatementMax:      250,

		ReportEvery:   500 * time.Millisecond,
		AskWhoEvery:   2 * time.Second,
		IntroducedMax: 64,

		Driver: driver.Limits{
			FlightsMax:         1 << 14,
			HeldMax:            1 << 18,
			BankOutstandingMax: 1 << 13,
			RetryAfter:         400 * time.Millisecond,
			RetryAfterMax:      time.Second,
			BreakerSilences:    3,
		},
	}
}
